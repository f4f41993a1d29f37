"""What the measuring kernels ask about a code point, as bits of one table, and datatrove's punctuation.

The punctuation is data of datatrove 0.10 (utils/text.py, Apache-2.0), taken as it is: its decisions depend on it.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tokenmill.kernels import unicode_classes as u

WORD = 1  # letter, mark or number
LETTER = 2
SPACE = 4  # what str.isspace and str.split mean: White_Space, and U+001C to U+001F
BREAK = 8  # where str.splitlines ends a line
CONTENT = 16  # makes a token a word: neither in PUNCTUATION nor in TERMINAL nor white space
STOP = 32  # in TERMINAL: ends a sentence in some script
UPPERCASE = 64
LOWERCASE = 128
DIGIT = 256  # decimal, of any script
JOINER = 512  # a symbol of ASCII: it can hold a token together between two characters of WORD
NOTABLE = 1024  # what the scan of lines must stop at

BREAKS = "\n\v\f\r\x1c\x1d\x1e\x85\u2028\u2029"

# With the controls U+0000 to U+001F and U+007F to U+009F.
PUNCTUATION = (
    "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~\u00ab\u00b4\u00bb\u2013\u2014\u2019\u201c\u201d\u201e\u2026\u2236\u2501"
    "\u25ba\u3001\u3002\u3008\u3009\u300a\u300b\u300c\u300d\u3010\u3011\uff01\uff05\uff08\uff09\uff0c\uff0e\uff11"
    "\uff1a\uff1b\uff1f\uff5e"
)

TERMINAL = (
    "!.?\u0589\u061d\u061e\u061f\u06d4\u0700\u0701\u0702\u07f9\u0837\u0839\u083d\u083e\u0964\u0965\u104a\u104b"
    "\u1362\u1367\u1368\u166e\u1735\u1736\u17d4\u17d5\u17d6\u17d9\u17da\u1803\u1809\u1944\u1945\u1aa8\u1aa9\u1aaa"
    "\u1aab\u1b5a\u1b5b\u1b5e\u1b5f\u1b7d\u1b7e\u1c3b\u1c3c\u1c7e\u1c7f\u203c\u203d\u2047\u2048\u2049\u2e2e\u2e3c"
    "\u2e53\u2e54\u3002\ua4ff\ua60e\ua60f\ua6f3\ua6f7\ua876\ua877\ua8ce\ua8cf\ua92f\ua9c8\ua9c9\uaa5d\uaa5e\uaa5f"
    "\uaaf0\uaaf1\uabeb\ufe52\ufe56\ufe57\uff01\uff0e\uff1f\uff61\U00010a56\U00010a57\U00010f55\U00010f56"
    "\U00010f57\U00010f58\U00010f59\U00010f86\U00010f87\U00010f88\U00010f89\U00011047\U00011048\U000110be"
    "\U000110bf\U000110c0\U000110c1\U00011141\U00011142\U00011143\U000111c5\U000111c6\U000111cd\U000111de"
    "\U000111df\U00011238\U00011239\U0001123b\U0001123c\U000112a9\U0001144b\U0001144c\U000115c2\U000115c3"
    "\U000115c9\U000115ca\U000115cb\U000115cc\U000115cd\U000115ce\U000115cf\U000115d0\U000115d1\U000115d2"
    "\U000115d3\U000115d4\U000115d5\U000115d6\U000115d7\U00011641\U00011642\U0001173c\U0001173d\U0001173e"
    "\U00011944\U00011946\U00011a42\U00011a43\U00011a9b\U00011a9c\U00011c41\U00011c42\U00011ef7\U00011ef8"
    "\U00011f43\U00011f44\U00016a6e\U00016a6f\U00016af5\U00016b37\U00016b38\U00016b44\U00016e98\U0001bc9f"
    "\U0001da88"
)


@lru_cache(maxsize=1)
def flags() -> NDArray[np.uint16]:
    """uint16[0x110000]: the bits above for every code point. Made once per process, in a few milliseconds."""
    table = np.zeros(u.CODE_POINTS, np.uint16)
    for bit, classes in (
        (WORD, u.WORD),
        (LETTER, u.LETTER),
        (SPACE, u.SPACE),
        (UPPERCASE, u.UPPERCASE),
        (LOWERCASE, u.LOWERCASE),
        (DIGIT, u.DIGIT),
    ):
        table[(u.CLASSES & np.uint8(classes)) != 0] |= np.uint16(bit)
    table[0x1C:0x20] |= SPACE
    table[[ord(c) for c in BREAKS]] |= BREAK
    terminal = [ord(c) for c in TERMINAL]
    content = (table & SPACE) == 0
    content[[*range(0x20), *range(0x7F, 0xA0), *terminal, *(ord(c) for c in PUNCTUATION)]] = False
    table[content] |= CONTENT
    table[terminal] |= STOP
    table[[c for c in range(0x21, 0x7F) if not table[c] & WORD]] |= JOINER
    table[[ord(c) for c in "#[{vVkKmM\u2026"]] |= NOTABLE
    table.flags.writeable = False
    return table
