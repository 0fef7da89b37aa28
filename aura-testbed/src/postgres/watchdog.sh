# Runs one PostgreSQL server for as long as whoever started this script keeps its standard input open.
# $1: the server's folder. $2: the folder of the programs. $3: the folder with the socket of the server that it is a standby of,
# or nothing. The rest: options of postgres.
# Each line on standard input starts the server; the end of the input stops it at once and removes the folder.
cd /
folder=$1
programs=$2
primary=$3
shift 3
server=

if [ -n "$primary" ]; then
    "$programs/pg_basebackup" --pgdata="$folder/data" --host="$primary" --username=postgres --no-password --checkpoint=fast \
        --write-recovery-conf --no-sync </dev/null >>"$folder/log" 2>&1 || exit 1
else
    "$programs/initdb" --pgdata="$folder/data" --auth=trust --username=postgres --encoding=UTF8 --locale=C.UTF-8 \
        --no-sync </dev/null >>"$folder/log" 2>&1 || exit 1
fi

while read -r _; do
    # Reaps a server that was killed: its id would look alive to the next one.
    wait
    "$programs/postgres" -D "$folder/data" "$@" </dev/null >>"$folder/log" 2>&1 &
    server=$!
    echo "$server" >"$folder/pid"
done

if [ -n "$server" ]; then
    # Said again until it is gone: a server that has only just started does not listen yet.
    (while kill -QUIT "$server" 2>/dev/null; do sleep 0.1; done) &
    wait "$server"
fi
rm -rf "$folder"
