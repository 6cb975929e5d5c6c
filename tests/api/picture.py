"""A page of the platform's UI as a picture, drawn by Debian's chromium without a screen."""
import subprocess, tempfile
from pathlib import Path


def draw(url, file, size=(1400, 900)):
    """What somebody sees who opens `url`, in `file` (PNG)."""
    with tempfile.TemporaryDirectory(prefix="plx-picture-") as own:
        subprocess.run(
            ["chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run",
             f"--user-data-dir={own}", f"--window-size={size[0]},{size[1]}", "--virtual-time-budget=30000",
             f"--screenshot={Path(file).absolute()}", url],
            check=True, timeout=120, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    print("drawn:", url, Path(file).stat().st_size, "bytes")
