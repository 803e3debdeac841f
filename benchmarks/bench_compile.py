"""Is the paper's network trained faster by torch.compile: python benchmarks/bench_compile.py [S].

Updates of the teacher as they are and with the network compiled, by turns, on one thread and by
processor time; then what compiling costs. Without a C++ compiler it says so and measures nothing.
"""

import sys
import tempfile
import time
from pathlib import Path

from bench import updates
from measure import measure_in_turns, report, share
from paper_store import BATCHES, make_paper_store
from torch._dynamo.exc import TorchDynamoException

from triaffect.recipes.load import load_recipe
from triaffect.tasks.registry import TASKS
from triaffect.training.build import TrainingContext, build_samples
from triaffect.training.run_folder import RunFolder
from triaffect.training.stage import StageRun
from triaffect.training.trainer import set_threads

RESULT = Path(__file__).parent / "results" / "compile.json"
RECIPE, ITERATIONS, SOURCES, SECONDS, REPEATS, SEED = "paper_as_published", 8, 6, 3.0, 5, 0


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else SECONDS
    set_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        recipe = load_recipe(RECIPE)
        store = make_paper_store(Path(folder) / "store", ITERATIONS, SOURCES, SEED)
        samples = build_samples(recipe.data, store, TASKS)
        work = TrainingContext(recipe, store, samples, TASKS, RunFolder(Path(folder) / "run"), SEED)
        plain, compiled = StageRun(work, 0), StageRun(work, 0)
        compiled.net.compile()
        steps = {"plain": updates(plain), "compiled": updates(compiled)}
        start_s = time.monotonic()
        try:
            for _ in range(3):  # shapes seen again are compiled again, for any number of rows
                steps["compiled"]()
        except TorchDynamoException as error:
            print(f"not measured: torch.compile fails here: {str(error).splitlines()[0]}")
            return
        print(f"compiling and three iterations: {time.monotonic() - start_s:.0f} s")
        rates = measure_in_turns(steps, "samples/s", seconds, REPEATS, time.process_time)
    gain = share(rates["compiled"], rates["plain"])
    settings = {"recipe": RECIPE, "batches": BATCHES, "threads": 1, "seed": SEED}
    report("compile", [*rates.values(), gain], settings, RESULT)


if __name__ == "__main__":
    main()
