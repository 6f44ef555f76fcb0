"""The words people use for what the bundled model knows, and what each means.

`PLAIN_WORDS` name a sound of the band directly, the first of them as the text encoder is told it;
`SYNONYMS` are the other ways to say it. Everything is lower case. A phrase may stand in several
tables and then means all of it. The plural of a phrase need not be listed.
"""

from __future__ import annotations

PLAIN_WORDS: dict[tuple[str, str], tuple[str, ...]] = {
    ("keys", "electric piano"): ("electric piano", "rhodes"),
    ("keys", "piano"): ("piano",),
    ("keys", "guitar"): ("guitar", "electric guitar", "jazz guitar"),
    ("keys", "nylon guitar"): ("nylon guitar", "acoustic guitar"),
    ("keys", "vibraphone"): ("vibraphone",),
    ("lead", "flute"): ("flute",),
    ("lead", "saxophone"): ("saxophone", "sax"),
    ("lead", "music box"): ("music box",),
    ("kit", "boom bap kit"): ("boom bap drums", "boom bap"),
    ("kit", "brushes"): ("brushes", "brushed drums"),
    ("kit", "drum machine"): ("drum machine", "808 drums"),
    ("bass", "upright bass"): ("upright bass", "double bass"),
    ("bass", "electric bass"): ("electric bass", "bass guitar"),
    ("bass", "sub bass"): ("sub bass",),
    ("rain", "rain"): ("rain", "rain sounds"),
    ("vinyl", "vinyl"): ("vinyl crackle", "vinyl"),
    ("tone", "dark"): ("dark", "warm", "muffled"),
    ("tone", "bright"): ("bright", "crisp"),
    ("comping", "held chords"): ("sustained chords",),
    ("comping", "offbeat chords"): ("choppy chords",),
    ("comping", "broken chords"): ("arpeggios",),
}
SYNONYMS: dict[tuple[str, str], tuple[str, ...]] = {
    ("keys", "electric piano"): (
        "wurlitzer",
        "fender rhodes",
        "e-piano",
        "ep chords",
        "mellow keys",
        "tine piano",
        "rhodes chords",
        "electric keys",
        "wurli",
        "electric pianos",
        "epiano",
        "soulful keys",
    ),
    ("keys", "piano"): (
        "grand piano",
        "acoustic piano",
        "upright piano",
        "pianist",
        "piano chords",
        "grand",
        "klavier",
        "felt piano",
        "ivories",
        "piano keys",
        "pianos",
        "steinway",
        "soft piano",
        "old piano",
    ),
    ("keys", "guitar"): (
        "guitarist",
        "clean guitar",
        "hollow body guitar",
        "archtop",
        "guitar chords",
        "gitarre",
        "guitare",
        "guitarra",
        "strummed guitar",
        "guitars",
        "six string",
        "jazzy guitar",
        "semi-hollow guitar",
    ),
    ("keys", "nylon guitar"): (
        "classical guitar",
        "spanish guitar",
        "nylon strings",
        "fingerpicked guitar",
        "bossa guitar",
        "acoustic strings",
        "nylon string guitar",
        "unplugged guitar",
        "flamenco guitar",
    ),
    ("keys", "vibraphone"): (
        "vibraharp",
        "mallets",
        "mallet percussion",
        "marimba",
        "xylophone",
        "vibraphones",
        "vibe chords",
        "shimmering mallets",
    ),
    ("lead", "flute"): (
        "flutist",
        "flautist",
        "woodwind",
        "wooden flute",
        "flutes",
        "breathy flute",
        "pan flute",
        "recorder",
        "shakuhachi",
    ),
    ("lead", "saxophone"): (
        "tenor sax",
        "alto sax",
        "saxophonist",
        "smoky sax",
        "reed solo",
        "saxes",
        "sax solo",
        "horn",
        "saxofon",
        "tenor saxophone",
    ),
    ("lead", "music box"): (
        "celesta",
        "bells",
        "glockenspiel",
        "chimes",
        "toy bells",
        "tinkling bells",
        "lullaby box",
        "wind-up box",
        "kalimba",
        "bell melody",
    ),
    ("kit", "boom bap kit"): (
        "hip hop drums",
        "hip-hop beat",
        "golden age beat",
        "old school drums",
        "dusty drums",
        "punchy drums",
        "90s hip hop drums",
        "sampled drums",
        "head-nod beat",
        "boom-bap",
        "live drum kit",
        "acoustic drums",
        "hip hop beat",
    ),
    ("kit", "brushes"): (
        "brush kit",
        "jazz brushes",
        "soft brushes",
        "brushwork",
        "brushed snare",
        "sweeping brushes",
        "jazz drummer",
        "gentle jazz drums",
    ),
    ("kit", "drum machine"): (
        "808",
        "tr-808",
        "electronic drums",
        "808s",
        "synthetic drums",
        "trap drums",
        "programmed drums",
        "digital drums",
        "roland drums",
        "eight-oh-eight",
    ),
    ("bass", "upright bass"): (
        "acoustic bass",
        "contrabass",
        "walking bass",
        "standup bass",
        "stand-up bass",
        "string bass",
        "woody bass",
    ),
    ("bass", "electric bass"): (
        "fingered bass",
        "p-bass",
        "funky bass",
        "fretted bass",
        "fender bass",
        "bassist",
    ),
    ("bass", "sub bass"): (
        "deep bass",
        "sine bass",
        "808 bass",
        "heavy bass",
        "low end bass",
        "rumbling bass",
        "subby bass",
        "synth bass",
    ),
    ("rain", "rain"): (
        "rainy",
        "rainfall",
        "raining",
        "drizzle",
        "raindrops",
        "rainstorm",
        "downpour",
        "showers",
        "stormy night",
        "pouring outside",
        "rain on the window",
        "thunderstorm",
        "monsoon",
        "storm",
        "thunder",
        "rain noise",
        "wet window",
        "rain on a tin roof",
        "pitter-patter",
        "wet streets",
        "rainy night",
        "rainy day",
    ),
    ("vinyl", "vinyl"): (
        "crackle",
        "record crackle",
        "dusty record",
        "record player",
        "turntable",
        "surface noise",
        "old record",
        "lp crackle",
        "needle noise",
        "crackling",
        "hiss",
        "tape hiss",
        "vinyl hiss",
        "vinyl noise",
        "record noise",
        "crackle noise",
        "scratchy record",
        "vintage record",
        "gramophone",
        "dusty grooves",
        "worn record",
        "pops and clicks",
    ),
    ("tone", "dark"): (
        "mellow tone",
        "muted",
        "low-pass filtered",
        "cozy",
        "cosy",
        "soft tone",
        "underwater",
        "warm tape",
        "smoky",
        "hazy",
        "velvety",
        "warmth",
        "cassette",
        "filtered",
        "fuzzy",
        "sleepy",
        "drowsy",
        "murky",
        "shadowy",
        "midnight",
    ),
    ("tone", "bright"): (
        "brilliant",
        "clear",
        "sparkling",
        "hi-fi",
        "sunny",
        "shiny",
        "airy",
        "open sound",
        "fresh",
        "glittering",
        "luminous",
        "sharp",
        "radiant",
        "sunlit",
        "summery",
    ),
    ("comping", "held chords"): ("long chords", "slow chords", "held chords", "lush chords"),
    ("comping", "offbeat chords"): ("syncopated chords", "stabs", "chord stabs", "off-beat chords"),
    ("comping", "broken chords"): (
        "arpeggiated chords",
        "plucked chords",
        "broken chords",
        "arpeggio",
    ),
}
SCENES: tuple[tuple[str, dict[str, str]], ...] = (
    ("coffee shop", {"kit": "brushes", "bass": "upright bass"}),
    ("cafe", {"kit": "brushes", "bass": "upright bass"}),
    ("jazzy", {"bass": "upright bass"}),
    ("jazz club", {"bass": "upright bass", "kit": "brushes"}),
    ("late night coding", {"keys": "electric piano"}),
    ("old school hip hop", {"kit": "boom bap kit"}),
    ("campfire", {"keys": "nylon guitar"}),
    ("seaside", {"keys": "nylon guitar", "tone": "bright"}),
    ("umbrella weather", {"rain": "rain"}),
    ("storm outside", {"rain": "rain"}),
    ("grandfather's attic records", {"vinyl": "vinyl"}),
)

MOODS: dict[str, tuple[str, ...]] = {
    "slow": (
        "slow", "slowly", "sleep", "sleepy", "sleeping", "lullaby", "drowsy", "calm", "calming",
        "bedtime", "meditation", "meditative", "ambient", "peaceful", "tranquil", "downtempo",
        "ballad", "drone",
    ),
    "fast": (
        "fast", "upbeat", "energetic", "lively", "groovy", "uptempo", "up tempo", "driving",
        "bouncy", "brisk", "dance", "dancing", "danceable",
    ),
    "sad": (
        "sad", "sadness", "melancholy", "melancholic", "lonely", "loneliness", "gloomy", "gloom",
        "moody", "feeling blue", "blue mood", "bluesy", "the blues", "heartbreak", "heartbroken",
        "nostalgic", "nostalgia", "wistful", "somber", "sombre", "tears", "traurig", "triste",
    ),
    "happy": (
        "happy", "happiness", "cheerful", "cheery", "joyful", "joy", "joyous", "sunny", "bright",
        "uplifting", "optimistic", "hopeful", "morning", "sunshine", "blue sky", "blue skies",
        "playful", "frohlich", "heureux", "alegre",
    ),
    "jazzy": (
        "jazz", "jazzy", "swing", "swinging", "bebop", "bossa", "bossa nova", "lounge", "smoky",
        "noir", "coffee shop", "coffeeshop", "coffee house", "cafe", "jazz club", "jazz trio",
    ),
    "dreamy": (
        "dream", "dreamy", "dreaming", "ethereal", "space", "spacey", "spacious", "floating",
        "float", "atmospheric", "atmosphere", "ambient", "lush", "hazy", "chillwave",
    ),
}  # fmt: skip
"""What a mood's words are; a mood steers tempo, mode, chords and the pad."""

PARTS: dict[str, tuple[str, ...]] = {
    "drums": (
        "drum", "drums", "drumming", "drummer", "percussion", "kick and snare", "kick", "snare",
        "kick drum", "snare drum", "drum beat", "drum kit", "drum track", "heartbeat kick",
        "rim shot", "backbeat", "ride cymbal", "cymbal", "shaker", "schlagzeug", "batterie",
        "percussions", "bateria", "batteria", "drumbeat",
    ),
    "hats": ("hi hat", "hihat", "hat"),
    "bass": ("bass", "bassline", "bass line", "basse", "bajo", "basso", "low end"),
    "melody": (
        "melody", "melodies", "melodic", "lead", "solo", "solos", "lead melody", "top line",
        "melodie", "melodia", "soloist",
    ),
    "pad": ("pad", "synth pad"),
    "keys": ("chord", "chords", "harmony", "harmonies"),
}  # fmt: skip
FAINT_PARTS: dict[str, tuple[str, ...]] = {
    "drums": ("beat", "beats", "groove", "rhythm", "pulse", "steady pulse", "steady beat", "hits"),
    "melody": ("tune", "tunes"),
    "all": ("music", "instruments", "instrument", "song", "musical instruments"),
}
"""Words that name a part only where it is refused or stands beside what is to play alone."""

MODES = {"minor": ("minor", "moll"), "major": ("major", "dur")}

FAMILIES: dict[str, dict[str, tuple[str, ...]]] = {
    "piano": {"keys": ("piano", "electric piano")},
    "pianos": {"keys": ("piano", "electric piano")},
    "klavier": {"keys": ("piano", "electric piano")},
    "keyboard": {"keys": ("piano", "electric piano", "vibraphone")},
    "keys": {"keys": ("piano", "electric piano", "vibraphone")},
    "guitar": {"keys": ("guitar", "nylon guitar")},
    "guitars": {"keys": ("guitar", "nylon guitar")},
    "gitarre": {"keys": ("guitar", "nylon guitar")},
    "guitare": {"keys": ("guitar", "nylon guitar")},
    "guitarra": {"keys": ("guitar", "nylon guitar")},
    "woodwind": {"lead": ("flute", "saxophone")},
    "wind instruments": {"lead": ("flute", "saxophone")},
}
"""What else is refused with a word: who wants no piano wants no electric piano either."""

STAND_INS: dict[tuple[str, str], tuple[str, ...]] = {
    ("lead", "flute"): (
        "violin", "fiddle", "viola", "clarinet", "oboe", "harmonica", "whistle", "whistling",
        "ocarina", "erhu", "bagpipe", "melodica",
    ),
    ("lead", "saxophone"): (
        "trumpet", "trombone", "brass", "bassoon", "cello", "muted trumpet", "accordion",
        "horn section", "french horn", "tuba", "bandoneon",
    ),
    ("lead", "music box"): ("harp", "koto", "kora", "chiptune", "square wave", "steel drum"),
    ("keys", "electric piano"): ("organ", "hammond", "clavinet", "harpsichord", "synth chords"),
    ("keys", "nylon guitar"): ("ukulele", "lute", "oud", "mandolin", "sitar"),
    ("keys", "guitar"): ("banjo", "slide guitar", "pedal steel", "lap steel"),
    ("keys", "vibraphone"): ("gamelan", "handpan", "hang drum", "steelpan"),
    ("pad", "pad"): (
        "string", "strings", "string quartet", "string section", "orchestra", "synth",
        "synthesizer", "synthesiser", "choir", "drone pad", "mellotron", "theremin", "synth lead",
    ),
    ("kit", "boom bap kit"): (
        "bongo", "conga", "tabla", "djembe", "cajon", "tambourine", "clap", "hand clap",
        "finger snap",
    ),
}  # fmt: skip
"""Instruments that the band lacks, by what plays in their place."""

MISSING = (
    "vocal", "vocals", "voice", "voices", "singing", "singer", "sing", "rap", "rapper", "rapping",
    "lyrics", "spoken word", "humming", "speech", "gesang", "birdsong", "birds", "wind", "waves",
    "ocean waves", "fire", "crackling fire", "fireplace", "traffic", "waltz", "3 4",
    "6 8", "odd meter", "reggae", "techno", "metal", "rock", "field recording",
)  # fmt: skip
"""What people ask for and nothing here can do or stand in for."""

SILENT_WORDS = """
70s 80s 90s a about above add afternoon again all allowed alone along also always am an and
another any are around as asleep at autumn avec avoid back background bar bars be beats been
beside between big bit book both bpm bring built bus but by calm can can't cannot cat cats chill
chilled chillhop chilly city classic clean cloudy code coding coffee comforting company con
contain content could cozy crunchy dawn day deep didn't dim dislike distant do does doesn't don't
dont down dusk each easy else empty enough et evening ever everything except excluding exclusively
faint fancy feat featuring feel feeling feels few fi focus focused focusing follow following for
forbidden forest forget four free friendly from full fun garden gentle gently get give gives
giving go goes going good great gritty had half hand has hate have head hear heard hello her here
hi him hip his home homework hop hours how hypnotic i i'd i'm if in include including inside
instead instrumental into is isn't it it's its itself just keep keeps kein keine keinen key kind
kitchen lacking laid late lazy least leave less let let's library light lights like listen
listening little lo lofi long loop loops lose lot lots love loved loves low made major make makes
making may maybe me mellow mellowed mid middle minimal minor minus minute mit mode mood moods more
most moving much mute muted my name near need needed needs neither neon neovim never new nice
night nineties no non none nor not note notes nothing of off ohne old omit on one only or other
our out over own part parts pattern people per phrase phrases play played playing plays please
plus prefer programming purely put quiet quietly quite rainy rather read reading really relax
relaxed relaxing remind reminds remove repeating required ride round running safe sample sampled
sans saturation scene senza serious should simple simply sin sit skip sky sleep slightly small
smooth snow snowfall so sofa soft softly solely some something song sort sound sounding sounds
sparse sparsely spring starry start steady still stop street study studying stuff style summer
summery sunday sunrise sunset sweet swells switch take tape tea tempo tender texture textures than
thank thanks that that's the their them then there there's these they thing things think this
those three through tight time tiny to together tokyo tone tones too touch track tracks train turn
two unaccompanied und under unobtrusive until unwanted up upon us use very vibe vibes vim voicings
walking want wanted wants warm warmth was we weekend weightless welcome were what when where which
while who will winter with within without wobble won't work working world would year years yes yet
you your zero
"""
"""Words that say nothing of the band and are not worth telling the user about."""
