"""Documents of which too little was left beside what a source had too do not come back with its takedown."""

import random
from pathlib import Path

from takedown_runs import Folder, text

from tokenmill.jobs.cli import main


def test_documents_that_were_dropped_for_its_spans_are_counted(tmp_path: Path, capsys) -> None:
    folder, rng = Folder(tmp_path), random.Random(13)
    passage = text(rng, 40)
    folder.source("a", [("1", f"{text(rng, 200)} {passage}")])
    folder.source("b", [("1", passage), ("2", text(rng, 60))])
    folder.run("whole", "CUT", None, "--index")
    capsys.readouterr()
    made = folder.take_down("whole", "a", "without", "CUT")
    assert made.facts["takedown"]["dropped_for_its_spans"] == 1
    told = capsys.readouterr().out
    assert "1 documents were dropped because a had nearly all of their text too; they stay in dropped/" in told
    assert passage in folder.texts("without", "dropped").values()
    row = folder.books("without")["b-00000", 0]
    assert main(["why", f"{tmp_path}/without", row["id"]]) == 0
    assert "would have cut bytes 0.." in (said := capsys.readouterr().out)
    assert "as in a document that was taken down since" in said
