# Runs the work's program once for each line that comes in, and tells what it printed. It knows nothing of what is right. A line is the
# run's number, its standard input and its arguments, each behind a dash and in base 64.
mark=$1
shift
printf '\n%s ready {}\n' "$mark"
while read -r number input arguments; do
    (
        for argument in $arguments; do
            text=$(printf %s "${argument#-}" | base64 -d && printf x)
            set -- "$@" "${text%x}"
        done
        code=$TMPDIR/aura-code
        printf %s "${input#-}" | base64 -d | { "$@"; echo $? >"$code"; } | base64 | tr -d '\n' >"$TMPDIR/aura-printed"
        printf '\n%s %s %s -%s\n' "$mark" "$number" "$(cat "$code")" "$(cat "$TMPDIR/aura-printed")"
    )
done
