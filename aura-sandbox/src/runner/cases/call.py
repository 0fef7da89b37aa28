# Calls one function of the work with the arguments that come in, line by line, and tells what came back. It knows nothing of what is
# right. What the work prints goes where errors go, so that answers stay apart.
import sys

sys.path[:] = [folder for folder in sys.path if folder]
import importlib.util, json, os, time

mark, path, name = sys.argv[1:4]
answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
calls = os.fdopen(os.dup(0), encoding="utf-8")
os.dup2(2, 1)
os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
dumps, loads, clock = json.dumps, json.loads, time.perf_counter


def tell(number, answer):
    answers.write(f"\n{mark} {number} {answer}\n")
    answers.flush()


def failure(error):
    kinds = [kind.__name__ for kind in type(error).__mro__ if kind is not object]
    try:
        text = str(error)[:2000]
    except BaseException:
        text = ""
    return dumps({"raised": kinds, "message": text})


sys.argv = [path]
sys.path.insert(0, os.getcwd())
try:
    spec = importlib.util.spec_from_file_location("solution", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["solution"] = module
    spec.loader.exec_module(module)
    function = module
    for part in name.split("."):
        function = getattr(function, part)
except BaseException as error:
    tell("load", failure(error))
    sys.exit(1)

tell("ready", "{}")
for line in calls:
    call = loads(line)
    begun = clock()
    try:
        value = function(*call["args"])
        seconds = clock() - begun
    except BaseException as error:
        tell(call["number"], failure(error))
        continue
    try:
        answer = dumps({"returned": value, "seconds": seconds}, allow_nan=False)
    except BaseException as error:
        answer = dumps({"unsaid": f"{type(value).__name__}: {error}"[:2000]})
    tell(call["number"], answer)
