/** Another format needs other tables. */
export const FORMAT = 1;

/**
 * The tables of a `PostgresLeaseStore`, for the migrations of the application. Without them, the store makes
 * them itself. Running it again changes nothing. Moments, versions and numbers are what JavaScript has:
 * `double precision`.
 */
export const schema = `
CREATE TABLE IF NOT EXISTS download_auth_store (
  format integer PRIMARY KEY,
  since double precision NOT NULL,
  revoked double precision NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS download_auth_records (
  link text NOT NULL,
  id text NOT NULL,
  version double precision NOT NULL,
  value text NOT NULL,
  keep_until double precision NOT NULL,
  PRIMARY KEY (link, id)
);
CREATE INDEX IF NOT EXISTS download_auth_records_by_age ON download_auth_records (keep_until);
CREATE TABLE IF NOT EXISTS download_auth_revocations (
  name text PRIMARY KEY,
  issued_before double precision NOT NULL,
  keep_until double precision NOT NULL,
  number double precision NOT NULL
);
CREATE INDEX IF NOT EXISTS download_auth_revocations_in_order ON download_auth_revocations (number);
CREATE INDEX IF NOT EXISTS download_auth_revocations_by_age ON download_auth_revocations (keep_until);

-- Makes all changes to the records of a link, or none if the store or a version is not what was read
CREATE OR REPLACE FUNCTION download_auth_commit(
  of_link text, moment double precision, created double precision, keep double precision, changes json
) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  -- Commits of one link take turns
  PERFORM pg_advisory_xact_lock(hashtextextended('download_auth ' || of_link, 0));
  IF NOT EXISTS (SELECT FROM download_auth_store WHERE since = created) OR EXISTS (
    SELECT FROM json_to_recordset(changes) AS change (id text, was double precision)
    LEFT JOIN download_auth_records AS known ON known.link = of_link AND known.id = change.id
    WHERE known.version IS DISTINCT FROM change.was
  ) THEN
    RETURN false;
  END IF;
  DELETE FROM download_auth_records AS known USING json_to_recordset(changes) AS change (id text, value text)
    WHERE known.link = of_link AND known.id = change.id AND change.value IS NULL;
  INSERT INTO download_auth_records AS known
    SELECT of_link, change.id, change.version, change.value, keep
    FROM json_to_recordset(changes) AS change (id text, version double precision, value text)
    WHERE change.value IS NOT NULL
    ON CONFLICT (link, id) DO UPDATE SET version = excluded.version, value = excluded.value,
      keep_until = greatest(known.keep_until, excluded.keep_until);
  -- Expired records go a few at a time, to keep commits short
  DELETE FROM download_auth_records WHERE (link, id) IN (
    SELECT link, id FROM download_auth_records WHERE keep_until <= moment
    ORDER BY keep_until LIMIT 16 FOR UPDATE SKIP LOCKED
  );
  RETURN true;
END $$;
`;
