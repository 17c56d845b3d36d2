"""What docs/testing.md shows, runs as printed."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def compile_carrier(into: Path) -> None:
    """Generates the code that the page imports."""
    options = "--proto_path=sample_services/carrier", f"--python_out={into}", f"--grpc_python_out={into}"
    command = [sys.executable, "-m", "grpc_tools.protoc", *options, "carrier.proto"]
    subprocess.run(command, cwd=ROOT, check=True)


def test_the_page_is_a_test_module_that_passes(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "testing.md").read_text("utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    (tmp_path / "test_page.py").write_text("\n\n".join(blocks))
    compile_carrier(tmp_path)
    options = "asyncio_mode = auto", "asyncio_default_fixture_loop_scope = function", "filterwarnings = error"
    (tmp_path / "pytest.ini").write_text("\n".join(["[pytest]", *options]))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{page.count('def test_')} passed" in done.stdout
