"""Trains a boosted recogniser of handwritten digits and writes it, with a request of 200 rows, into a given directory.

HistGradientBoostingClassifier predicts with OpenMP: its threads share the rows of a request, so that the number of
threads matters as much as that of workers.
"""

# mypy: ignore-errors
import sys
from pathlib import Path

import joblib
from sklearn.datasets import load_digits
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import train_test_split

ROWS = 200

out = Path(sys.argv[1])
(out / "model").mkdir(parents=True, exist_ok=True)
(out / "payload").mkdir(exist_ok=True)

images, digits = load_digits(return_X_y=True)
known, unseen, known_digits, _ = train_test_split(images, digits, test_size=0.25, random_state=0)
model = HistGradientBoostingClassifier(max_iter=60, max_leaf_nodes=15, random_state=0).fit(known, known_digits)
joblib.dump(model, out / "model" / "model.joblib")
rows = (",".join(f"{pixel:g}" for pixel in image) for image in unseen[:ROWS])
(out / "payload" / f"digits-{ROWS}.csv").write_text("\n".join(rows) + "\n")
