"""Threads, processes, instruction sets and signals: a good citizen of the process it runs in."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import fastseq
from fastseq import _backend

native = pytest.importorskip("fastseq._core")


def run_python(code: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code], env=os.environ | env, capture_output=True, text=True, timeout=120
    )


@pytest.fixture(autouse=True)
def _restore_threads():
    before = fastseq.get_num_threads()
    yield
    fastseq.set_num_threads(before)


@pytest.fixture(scope="module")
def work():
    """A layer large enough to be shared between threads, its input and its result on one thread."""
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((1024, 512), dtype=np.float32)
    tokens = rng.standard_normal((300, 512), dtype=np.float32)
    layer = native.Linear(weight, None)
    fastseq.set_num_threads(1)
    return layer, tokens, layer.forward(tokens)


def test_importing_fastseq_loads_nothing_heavy():
    code = "import sys, fastseq; print(sorted({m.split('.')[0] for m in sys.modules}))"
    loaded = ast.literal_eval(run_python(code).stdout)
    assert not {"numpy", "torch", "safetensors", "matplotlib", "transformers"} & set(loaded)


@pytest.mark.parametrize("wrong", [0, -1, 5000])
def test_number_of_threads_out_of_range(wrong):
    with pytest.raises(ValueError, match=f"num_threads is {wrong}"):
        fastseq.set_num_threads(wrong)


@pytest.mark.parametrize("wrong", [1.5, "2", None, True])
def test_number_of_threads_of_another_type(wrong):
    with pytest.raises(TypeError, match="num_threads"):
        fastseq.set_num_threads(wrong)


def test_number_of_threads_from_the_environment():
    result = run_python("import fastseq; print(fastseq.get_num_threads())", FASTSEQ_NUM_THREADS="3")
    assert result.stdout.strip() == "3"
    result = run_python("import fastseq; fastseq.get_num_threads()", FASTSEQ_NUM_THREADS="many")
    assert "FASTSEQ_NUM_THREADS is 'many'" in result.stderr


def test_affinity_bounds_the_number_of_threads():
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("this system has no processor affinity")
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "import fastseq; print(fastseq.get_num_threads())"
    )
    assert run_python(code, FASTSEQ_NUM_THREADS="").stdout.strip() == "1"


def test_unknown_instruction_set_names_the_known_ones():
    result = run_python("import fastseq; fastseq.functional.relu([1.0])", FASTSEQ_ISA="avx9000")
    assert "FASTSEQ_ISA is 'avx9000'" in result.stderr
    assert "scalar" in result.stderr


def test_a_lower_instruction_set_can_be_forced():
    for isa in native.config()["available_isas"]:
        result = run_python("from fastseq import _core; print(_core.config()['isa'])", FASTSEQ_ISA=isa)
        assert result.stdout.strip() == isa


def test_unknown_backend_in_the_environment():
    result = run_python("import fastseq; fastseq.functional.relu([1.0])", FASTSEQ_BACKEND="cuda")
    assert "FASTSEQ_BACKEND is 'cuda'; expected one of 'native', 'numpy'" in result.stderr


def test_without_the_extension_numpy_computes_and_a_warning_says_so():
    code = (
        "import sys, warnings; sys.modules['fastseq._core'] = None; import fastseq\n"
        "with warnings.catch_warnings(record=True) as caught:\n"
        "    warnings.simplefilter('always')\n"
        "    print(fastseq.functional.relu([-1.0, 2.0]).tolist(), _ := fastseq.functional.relu([3.0]))\n"
        "print([str(w.message)[:40] for w in caught if w.category is RuntimeWarning])"
    )
    result = run_python(code)
    assert result.stderr == ""
    assert "[0.0, 2.0]" in result.stdout
    assert result.stdout.count("fastseq runs on its NumPy reference") == 1


def test_many_python_threads_at_once(work):
    layer, tokens, expected = work
    fastseq.set_num_threads(3)

    def repeat(_: int) -> bool:
        return all(np.array_equal(layer.forward(tokens), expected) for _ in range(20))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(repeat, range(16)))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_works_after_fork():
    # In a process of its own: pytest's own threads would make Python warn of the fork.
    code = (
        "import os, numpy as np\nfrom fastseq import _core\n_core.set_num_threads(3)\n"
        "layer = _core.Linear(np.ones((1024, 512), np.float32), None)\nx = np.ones((300, 512), np.float32)\n"
        "layer.forward(x)\npid = os.fork()\nok = bool((layer.forward(x) == 512).all())\n"
        "if pid == 0: os._exit(0 if ok else 1)\n"
        "print(ok, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert result.stdout.strip() == "True 0"


def test_the_gil_is_released_while_kernels_run(work):
    layer, tokens, _ = work
    fastseq.set_num_threads(1)
    stop, turns = threading.Event(), [0]

    def count() -> None:
        while not stop.is_set():
            turns[0] += 1
            time.sleep(0)  # lets go of the GIL, as a switch by the interpreter will not come

    big = np.tile(tokens, (100, 1))
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000)  # a thread that waits for the GIL gets it only if the other one lets go
    counter = threading.Thread(target=count)
    try:
        counter.start()
        before = turns[0]
        layer.forward(big)
        during = turns[0] - before
    finally:
        stop.set()
        sys.setswitchinterval(interval)
        counter.join()
    assert during > 0


@pytest.mark.skipif(sys.platform == "win32", reason="signals to another process")
def test_an_interrupt_stops_a_long_generation():
    code = (
        "import numpy as np, fastseq, sys\n"
        "model = fastseq.load_model(sys.argv[1])\n"
        "print('ready', flush=True)\n"
        "try:\n"
        "    model.generate([[1, 2, 3]] * 64, num_beams=4, max_length=100000, min_length=100000)\n"
        "except KeyboardInterrupt:\n"
        "    print('interrupted', flush=True)\n"
    )
    folder = Path(fastseq.__file__).parent / "data" / "g2p-lstm"
    with subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        threading.Event().wait(0.5)
        process.send_signal(signal.SIGINT)
        try:
            assert process.communicate(timeout=60)[0] == "interrupted\n"
        finally:
            process.kill()
        assert process.returncode == 0


def test_the_extension_does_not_need_the_gil():
    # On free-threaded Python importing a module that needs the GIL turns it on, with a warning, which is an error here.
    code = "import sys; from fastseq import _core; print(getattr(sys, '_is_gil_enabled', lambda: None)())"
    result = run_python(code)
    assert result.returncode == 0
    assert result.stdout.strip() in ("None", "True", "False")
    if "free-threading" in sys.version:
        assert result.stdout.strip() == "False"


def test_the_stub_names_what_the_extension_has():
    stub = ast.parse((Path(fastseq.__file__).parent / "_core.pyi").read_text(encoding="utf-8"))
    named = {n.name for n in stub.body if isinstance(n, ast.FunctionDef | ast.ClassDef)}
    assert {n for n in named if not n.startswith("_")} == {n for n in dir(native) if not n.startswith("_")}


def test_config_tells_what_runs(capsys):
    fastseq.show_config()
    shown = capsys.readouterr().out
    for name, value in _backend.config().items():
        assert name in shown
        assert isinstance(value, list) or str(value) in shown
