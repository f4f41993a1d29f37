"""Documents that bring out what each step does: good prose, what filters are for, many scripts, awkward input.

They are written here, so that a reader can see what a golden line is about.
"""

import functools
import hashlib
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from tokenmill.core.recipe import SOURCE_COLUMNS


@functools.cache
def documents() -> pa.RecordBatch:
    """All sample documents as a reader would hand them on, one named row each (`url` ends in the name)."""
    columns: dict[str, list[Any]] = {name: [] for name in SOURCE_COLUMNS.names}
    for row, (name, content) in enumerate(_contents()):
        text, html = (None, content) if isinstance(content, bytes) else (content, None)
        values = {
            "id": hashlib.sha256((name if text is None else text).encode()).hexdigest()[:32],
            "text": text,
            "source": "sample",
            "url": f"https://example.org/{name.replace(' ', '-')}",
            "meta": None if row % 3 else f'{{"row":{row}}}',
            "html": html,
            "charset": "utf-8" if html and row % 2 else None,
            "shard": 0,
            "row": row,
            "priority": 0,
            "chars_in": None if text is None else len(text),
        }
        for column in columns:
            columns[column].append(values.get(column))
    return pa.RecordBatch.from_pydict(columns, SOURCE_COLUMNS)


def names_of(batch: pa.RecordBatch) -> list[str]:
    """What each row of `batch` is called here."""
    return [_NAMES[row] for row in batch["row"].to_pylist()]


HARBOUR = """The harbour was quiet when the first boats came back in the morning, and the men who had been out all \
night said very little to each other. They tied the ropes, lifted the boxes of fish onto the stones, and waited for \
the lorry from the market to arrive.

By nine o'clock the sun stood above the roofs of the old warehouses. A woman from the office walked along the \
quay with a list in her hand and wrote down what each boat had brought. Most of it would be sold before noon, \
but some of the smaller fish went back to the village, where people still dry them on wooden frames behind \
their houses.

It has been like this for as long as anyone can remember. The boats have engines now, and there is a radio in \
every cabin, yet the work itself has hardly changed. You need patience, a good knowledge of the weather, and \
friends who will come out to look for you when you are late."""

BREAD = """Good bread needs four things: flour, water, salt and time. Of these, time is the one that most people leave \
out. A dough that has rested overnight in a cool place tastes better than one that was hurried with more \
yeast.

Mix the flour with the water first and let it stand for half an hour. Then add the salt and a little of the \
starter, and fold the dough over itself with wet hands. Do this four times, with a pause between the turns, \
until it holds together and feels smooth. You will see small bubbles under the surface when it is ready.

Bake it in a very hot oven, in a closed pot if you have one. The steam keeps the crust soft for the first \
minutes, so that the loaf can rise. Take the lid off after twenty minutes and wait until the crust is dark \
brown."""

GERMAN = """Am frühen Morgen war es still im Hafen, als die ersten Boote zurückkamen. Die Männer, die die ganze Nacht \
draußen gewesen waren, sprachen wenig miteinander. Sie machten die Leinen fest, hoben die Kisten mit den \
Fischen auf die Mauer und warteten auf den Lastwagen vom Markt. Gegen neun Uhr stand die Sonne über den \
Dächern der alten Speicher, und eine Frau aus dem Büro ging mit einer Liste in der Hand den Kai entlang."""


def _contents() -> Iterator[tuple[str, str | bytes | None]]:
    prose = {"harbour": HARBOUR, "bread": BREAD}
    yield from prose.items()
    yield "harbour again", HARBOUR
    yield "harbour, a third time", HARBOUR
    yield "bread again", BREAD
    yield "bread with another start", BREAD.replace("Good bread needs", "Any good bread needs")
    yield "harbour with another end", HARBOUR.replace("when you are late.", "when the evening comes.")
    yield "harbour in capitals", HARBOUR.upper()
    yield "harbour with other line ends", HARBOUR.replace("\n", "\r\n")
    yield "harbour?utm_source=mail", HARBOUR + "\n\nThree comments"
    yield "both", HARBOUR + "\n\n" + BREAD
    yield "bread, footnotes", BREAD.replace("time.", "time.[1]").replace("yeast.", "yeast.[citation needed]")
    yield "bread, a line of code", BREAD + "\nPlease enable JavaScript to see the comments below this recipe.\n"
    yield "bread, a notice", BREAD + "\nBy using this site you agree to our terms of use and our privacy policy.\n"
    yield "lorem ipsum", BREAD + "\nLorem ipsum dolor sit amet, consectetur adipiscing elit.\n"
    yield "curly bracket", "function rise(dough) { return dough.wait(12); }\n" + BREAD
    yield "german", GERMAN
    yield "french", "Le port était calme quand les premiers bateaux sont revenus ce matin, et personne ne parlait. " * 2
    yield "spanish", "El puerto estaba tranquilo cuando volvieron los primeros barcos, y nadie decía nada todavía. " * 2
    yield (
        "russian",
        "В порту было тихо, когда утром вернулись первые лодки, и никто из людей почти не разговаривал. " * 2,
    )
    yield "arabic", "كان الميناء هادئا عندما عادت القوارب الأولى في الصباح ولم يتكلم الرجال كثيرا. " * 2
    yield "hindi", "सुबह जब पहली नावें वापस आईं तब बंदरगाह शांत था और लोग आपस में बहुत कम बोल रहे थे। " * 2
    yield "chinese", "清晨，第一批渔船回来的时候，港口很安静。整夜在外面的男人们彼此很少说话。" * 3
    yield "japanese", "朝、最初の船が戻ってきたとき、港は静かだった。一晩中海にいた男たちはほとんど話さなかった。" * 3
    yield "thai", "ท่าเรือเงียบสงบเมื่อเรือลำแรกกลับมาในตอนเช้า และผู้คนแทบไม่พูดกันเลย " * 2
    yield "short", "Too short."
    yield "one word", "word"
    yield "one line many times", "The same line again and again.\n" * 40
    yield "one paragraph many times", (HARBOUR.split("\n\n")[1] + "\n\n") * 6
    yield "one word many times", "buy " * 300
    yield "a menu", "\n".join(f"Home Products Category {n}" for n in range(60))
    yield "bullets", "\n".join(f"- the item number {n} on this long list of things to do today" for n in range(30))
    yield "stars", "\n".join(f"• the item number {n} on this long list of things to do today" for n in range(30))
    yield "ellipses", "\n".join(f"The story number {n} goes on and on and is cut off here..." for n in range(30))
    yield "read more", HARBOUR.replace(".", "...") + "\nRead more\nRead more\n"
    yield "hashes", "# # # # the # of # and # to # " * 40
    yield "numbers", "\n".join(" ".join(str(n * m) for m in range(1, 12)) for n in range(1, 40))
    yield "long words", ("pneumonoultramicroscopicsilicovolcanoconiosis " * 60).strip()
    yield "short words", "a b c d e f g h i j k l m n o p q r s t u v w x y z " * 8
    yield "no full stops", "\n".join(line.replace(".", "") for line in HARBOUR.split(". "))
    yield "no stop words", "quay rope lorry dock crate gull mast hull keel deck sail tide wharf pier " * 8
    yield "code", "def area(r):\n    return 3.14159 * r ** 2\n\nfor i in range(10):\n    print(i, area(i))\n" * 3
    yield "a table", "\n".join("|".join(f"cell {r},{c}" for c in range(6)) for r in range(20))
    yield "addresses", "Write to jane.doe@example.org or call +1 202 555 0143; the server is 192.0.2.17. " * 4
    yield "null", None
    yield "empty", ""
    yield "white space", " \n\t\r\n  \u00a0\u3000"
    yield "null characters", "\x00\x00the end\x00of it\x00"
    yield "control characters", "".join(map(chr, range(1, 32))) + "\x7f\x85\u2028\u2029the end\n"
    yield "emoji", "👩‍👩‍👧 🏳️‍🌈 👍🏽 " * 50
    yield "combining marks", "Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢L̠ͨͧͩ͘G̴̻͈͍͔̹̑͗̎̅͛́Ǫ̵̹̻̝̳͂̌̌͘ " * 20 + "e\u0301 e\u0301 e\u0301"
    yield "case that changes length", "İstanbul STRASSE straße ΟΔΟΣ ﬁne ǅ ŉ " * 10
    yield "beyond the basic plane", "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𐍈𐌰𐌹𐍂𐍄𐌰 \U0010ffff \ue000 \ufffd \ufeff " * 10
    yield "right to left marks", "\u202eabc\u202c \u200f\u200e\u2066x\u2069 " * 10
    yield "one letter, 100 kB", "a" * 100_000
    yield "one line, 100 kB", "the end of it and " * 5_556
    yield "one emoji line, 100 kB", "🐟" * 25_000
    yield "line ends, 100 kB", "\n" * 100_000
    yield "lines of one word", "the\n" * 500
    yield "page", _page("The harbour", HARBOUR)
    yield "page in windows-1252", _page("Der Hafen", GERMAN).replace(b"utf-8", b"windows-1252")
    yield "page of nothing", b"<html><head><title>x</title></head><body></body></html>"
    yield "page of scripts", b"<html><body><script>var a = 1;</script><style>p { color: red }</style></body></html>"
    yield "page, deep", b"<div>" * 2_000 + b"deep" + b"</div>" * 2_000
    yield "page, broken", b"<html><body><p>The end of <b>it <a href='x' <p>and \xff\xfe\x00 more <table><td>x"
    yield "no page at all", b"\x00\x01\x02\xff\xfe\x89PNG\r\n"
    yield "zero bytes", b""


def _page(title: str, text: str) -> bytes:
    paragraphs = "".join(f"<p>{part}</p>" for part in text.split("\n\n"))
    menu = "<nav><a href='/'>Home</a> <a href='/a'>About</a></nav>"
    head = f"<!doctype html><html><head><meta charset='utf-8'><title>{title}</title></head>"
    return f"{head}<body>{menu}<main><h1>{title}</h1>{paragraphs}</main><footer>© 2024</footer></body></html>".encode()


_NAMES = [name for name, _ in _contents()]
