# Runs the command of a team in an image of theirs, bounded in words, disk and descendants, and leaves how it ended.
# Lent to the image together with the busybox that reads it: nothing is expected of the image but the command.
#   lent.sh OWN KIBIBYTES FILES COMMAND...    OWN holds input and output; its parent may grow by so much
# It ends well whatever the command did: the container after it tells (see lent.py).
own=$1 kibibytes=$2 files=$3 blocks=$(($2 * 2))
shift 3
scratch=${own%/*}
if [ -e "$own/failed.json" ] || [ -L "$own/failed.json" ]; then exit 0; fi
mkdir -p "$own/home" "$own/end"
export MODELOPS_INPUT="$own/input" MODELOPS_OUTPUT="$own/output" HOME="$own/home" TMPDIR="$own/home" PYTHONUNBUFFERED=1
for name in $(env | sed -n 's/^\(KUBERNETES_[A-Z0-9_]*\|ARGO_[A-Z0-9_]*\)=.*/\1/p'); do unset "$name"; done

# Words: handed on up to 5 MiB; the last line is kept.
mkfifo "$own/words"
awk '{ said += length($0) + 1
       if (said <= 5242880) { print; fflush() }
       else if (!told) { told = 1; print "... what it says beyond this is left out"; fflush() }
       if ($0 ~ /[^ \t\r]/) last = substr($0, 1, 2000) }
     END { print last > OWN "/end/last" }' OWN="$own" < "$own/words" &
words=$!

used() { du -skx "$scratch" 2> /dev/null | cut -f 1; }
count() { find "$scratch" -xdev 2> /dev/null | wc -l; }
kibibytes=$((kibibytes + $(used))) files=$((files + $(count)))
ulimit -c 0
(ulimit -f $blocks && exec "$@") > "$own/words" 2>&1 < /dev/null &
command=$!
trap 'kill -KILL $command; exit 143' TERM
(while sleep 1; do
    over=
    if [ "$(used)" -gt "$kibibytes" ]; then over=size; elif [ "$(count)" -gt "$files" ]; then over=files; fi
    if [ -n "$over" ]; then
        echo $over > "$own/end/exceeded"
        kill -KILL $command
        break
    fi
done) &
watcher=$!
wait $command
code=$?

# Whatever it started ends with it, or its words would never end. Only in a container, where all processes are its.
if [ $$ = 1 ]; then
    for process in /proc/[0-9]*; do
        process=${process#/proc/}
        [ "$process" = 1 ] || [ "$process" = $words ] || kill -KILL "$process" 2> /dev/null
    done
fi
kill -KILL $watcher 2> /dev/null
wait $words
echo $code > "$own/end/code"
exit 0
