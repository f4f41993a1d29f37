"""Without the extra, training says what to install; everything else loads."""

import subprocess
import sys

BLOCKED = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "transformers", "megatron"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
"""


def without_extra(script: str) -> str:
    done = subprocess.run([sys.executable, "-c", BLOCKED + script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_says_what_is_missing_and_how_to_get_it() -> None:
    said = without_extra("""
from tokenmill.core.errors import RecipeError
from tokenmill.train.extra import extra
try:
    extra("torch")
except RecipeError as error:
    print(error)
""")
    assert said == 'training needs torch, transformers, megatron-core: pip install "tokenmill[models]"\n'


def test_every_module_loads_without_it() -> None:
    modules = ["blend", "blend_data", "checkpoint", "models", "nemotron_h", "request", "schedule", "trainer"]
    lines = [f"import tokenmill.train.{module}" for module in modules]
    assert without_extra("\n".join([*lines, "import tokenmill.jobs.train", "print('loaded')"])) == "loaded\n"
