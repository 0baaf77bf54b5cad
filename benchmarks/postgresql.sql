-- Accounts with transfers in PostgreSQL: overdraft-checked, exactly once, a posting for each leg.

CREATE TABLE account (
    id integer PRIMARY KEY,
    balance bigint NOT NULL CHECK (balance >= 0)
) WITH (fillfactor = 50); -- a new version of a row finds room on its page: no index has to change

CREATE TABLE command (
    key uuid PRIMARY KEY,
    transfer bigint NOT NULL,
    outcome text NOT NULL
);

CREATE TABLE posting (
    account integer NOT NULL,
    transfer bigint NOT NULL,
    amount bigint NOT NULL,
    PRIMARY KEY (account, transfer) -- a statement is a range of it
);

CREATE SEQUENCE transfer_number CACHE 100;

-- One transfer, in the one transaction of whoever calls it. Accounts are locked in the order of their ids, so
-- that no two transfers wait for each other.
CREATE FUNCTION transfer(new_key uuid, source integer, destination integer, amount bigint) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    number bigint := nextval('transfer_number');
    told text := 'OK';
BEGIN
    INSERT INTO command VALUES (new_key, number, 'OK') ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        SELECT outcome INTO STRICT told FROM command WHERE key = new_key;
        RETURN told;
    END IF;
    IF source > destination THEN
        PERFORM FROM account WHERE id = destination FOR NO KEY UPDATE;
    END IF;
    UPDATE account SET balance = balance - amount WHERE id = source AND balance >= amount;
    IF NOT FOUND THEN
        UPDATE command SET outcome = 'INSUFFICIENT_FUNDS' WHERE key = new_key;
        RETURN 'INSUFFICIENT_FUNDS';
    END IF;
    UPDATE account SET balance = balance + amount WHERE id = destination;
    IF NOT FOUND THEN
        RAISE 'there is no account %', destination;
    END IF;
    INSERT INTO posting VALUES (source, number, -amount), (destination, number, amount);
    RETURN 'OK';
END $$;

CREATE FUNCTION refuse(why text) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    RAISE '%', why;
END $$;

-- Many at once, in one statement: each account is updated once. Where an account would be overdrawn at the end
-- of all, CHECK refuses all of them, and they are asked for one by one. Returns how many were new.
CREATE FUNCTION transfers(keys uuid[], sources integer[], destinations integer[], amounts bigint[])
RETURNS bigint LANGUAGE sql AS $$
    WITH asked AS (
        SELECT *, nextval('transfer_number') AS number
        FROM unnest(keys, sources, destinations, amounts) AS t (key, source, destination, amount)
    ), new AS (
        INSERT INTO command SELECT key, number, 'OK' FROM asked ON CONFLICT DO NOTHING RETURNING transfer
    ), leg AS (
        SELECT account, number, delta
        FROM asked JOIN new ON new.transfer = asked.number,
        LATERAL (VALUES (source, -amount), (destination, amount)) AS l (account, delta)
    ), locked AS MATERIALIZED (
        SELECT id FROM account WHERE id IN (SELECT account FROM leg) ORDER BY id FOR NO KEY UPDATE
    ), moved AS (
        UPDATE account SET balance = balance + total
        FROM (
            SELECT account, sum(delta)::bigint AS total FROM leg
            WHERE account IN (SELECT id FROM locked) GROUP BY account
        ) AS net
        WHERE id = net.account
    ), booked AS (
        INSERT INTO posting SELECT account, number, delta FROM leg
    )
    SELECT CASE
        WHEN (SELECT count(*) FROM locked) = (SELECT count(DISTINCT account) FROM leg)
        THEN (SELECT count(*) FROM new)
        ELSE refuse('not all of these accounts exist')
    END
$$;
