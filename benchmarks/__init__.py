"""Bankbook beside what a user would pick instead: `make bench`, which writes docs/performance.md.

cases        what is measured, of which system, and what is told of it
targets      what Bankbook has to reach
floor        what no server can be faster than: a gRPC server that does nothing, and the disk
bankbook     Bankbook, by its own load generator
postgresql   PostgreSQL: transfers in SQL (postgresql.sql), and what pgbench measures by itself
etcd         etcd: a transfer as a transaction with compares
redis_server Redis: a transfer as a script (redis.lua)
systems      all of these
transfers    what is asked of the alternatives, and which money
packages     programs that are here, or are unpacked from Debian's packages
processes    servers and load generators: started at a free port, ended again, whatever happens
machine      which machine it is, and what other programs used of it
run          trials, then rounds of all systems, one after the other
figures      medians and ratios of what came of the rounds
page         docs/performance.md, from these figures alone
plots        its pictures
cli          `python -m benchmarks`

growth       how Bankbook's own costs grow: `make growth`, which writes docs/growth.md

It is no part of the library: it is started from the project's folder, and needs pip install -e '.[bench]'.
"""
