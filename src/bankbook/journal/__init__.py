"""The bank's books as an accounting journal, for whoever audits them with tools that are not ours.

    names       what ids and currencies are called there, so that no two are called the same
    beancount   the journal, entry by entry

Pure: no file, no network, no clock. Must not know where entries come from, or where the text goes.
"""
