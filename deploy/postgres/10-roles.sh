#!/bin/bash
# Run once, when the database is made: the application's login, a member of the role that owns nothing.
# Its name and password are those in ENGRAMIA_DATABASE_URL, so that they stand in one place.
set -euo pipefail

decoded() {  # percent-encoding, as addresses have it
    local text=${1//\\/\\\\}
    printf '%b' "${text//%/\\x}"
}

credentials=${ENGRAMIA_DATABASE_URL#*://}
credentials=${credentials%%/*}
if [[ $credentials != *:*@* ]]; then
    echo "ENGRAMIA_DATABASE_URL must read postgresql://user:password@pgvector:5432/engramia." >&2
    exit 1
fi
credentials=${credentials%@*}
login=$(decoded "${credentials%%:*}")
password=$(decoded "${credentials#*:}")
if [[ $login == "$POSTGRES_USER" ]]; then
    echo "ENGRAMIA_DATABASE_URL names $login, the owner of the tables: the service needs a login of its own." >&2
    exit 1
fi

# Name and password reach psql by its environment: no list of processes shows them.
LOGIN_NAME=$login LOGIN_PASSWORD=$password \
    psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
\getenv login LOGIN_NAME
\getenv password LOGIN_PASSWORD
CREATE ROLE engramia_app NOLOGIN;
CREATE ROLE :"login" LOGIN PASSWORD :'password' IN ROLE engramia_app;
CREATE EXTENSION IF NOT EXISTS vector;
SQL
