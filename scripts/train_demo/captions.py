"""Captions: the words people type, and what they mean for the band.

Each caption comes with the attribute values it states. Attributes it does not state are left open
for the planner. `PLAIN_WORDS` name a sound directly; `SYNONYMS` are the other ways to say it.
"""

from __future__ import annotations

from random import Random

from lofi_daemon.backends.demo.score import ATTRIBUTES

Stated = dict[str, str]

PLAIN_WORDS: dict[tuple[str, str], tuple[str, ...]] = {
    ("keys", "electric piano"): ("electric piano", "rhodes"),
    ("keys", "piano"): ("piano",),
    ("keys", "guitar"): ("guitar", "electric guitar", "jazz guitar"),
    ("keys", "nylon guitar"): ("nylon guitar", "acoustic guitar"),
    ("keys", "vibraphone"): ("vibraphone", "vibes"),
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
    ("rain", "no rain"): ("no rain", "without rain"),
    ("vinyl", "vinyl"): ("vinyl crackle", "vinyl"),
    ("vinyl", "no vinyl"): ("no vinyl", "without crackle", "no vinyl noise"),
    ("tone", "dark"): ("dark", "warm", "muffled"),
    ("tone", "bright"): ("bright", "crisp"),
    ("comping", "held chords"): ("sustained chords",),
    ("comping", "offbeat chords"): ("choppy chords",),
    ("comping", "broken chords"): ("arpeggios",),
}
SYNONYMS: dict[tuple[str, str], tuple[str, ...]] = {
    ("keys", "electric piano"): (
        "wurlitzer", "fender rhodes", "e-piano", "ep chords", "mellow keys", "tine piano",
        "rhodes chords", "electric keys", "wurli", "electric pianos", "epiano", "soulful keys",
    ),
    ("keys", "piano"): (
        "grand piano", "acoustic piano", "upright piano", "pianist", "piano chords", "felt piano",
        "ivories", "piano keys", "pianos", "steinway", "soft piano", "old piano",
    ),
    ("keys", "guitar"): (
        "guitarist", "clean guitar", "hollow body guitar", "archtop", "guitar chords",
        "strummed guitar", "guitars", "six string", "jazzy guitar", "semi-hollow guitar",
    ),
    ("keys", "nylon guitar"): (
        "classical guitar", "spanish guitar", "nylon strings", "fingerpicked guitar", "bossa guitar",
        "acoustic strings", "nylon string guitar", "unplugged guitar", "flamenco guitar",
    ),
    ("keys", "vibraphone"): (
        "vibraharp", "mallets", "mallet percussion", "marimba", "xylophone", "vibraphones",
        "vibe chords", "shimmering mallets",
    ),
    ("lead", "flute"): (
        "flutist", "flautist", "woodwind", "wooden flute", "flutes", "breathy flute", "pan flute",
        "recorder", "shakuhachi",
    ),
    ("lead", "saxophone"): (
        "tenor sax", "alto sax", "saxophonist", "smoky sax", "reed solo", "saxes", "sax solo",
        "horn", "tenor saxophone",
    ),
    ("lead", "music box"): (
        "celesta", "bells", "glockenspiel", "chimes", "toy bells", "tinkling bells", "lullaby box",
        "wind-up box", "kalimba", "bell melody",
    ),
    ("kit", "boom bap kit"): (
        "hip hop drums", "hip-hop beat", "golden age beat", "old school drums", "dusty drums",
        "punchy drums", "90s hip hop drums", "sampled drums", "head-nod beat", "boom-bap",
        "live drum kit", "acoustic drums",
    ),
    ("kit", "brushes"): (
        "brush kit", "jazz brushes", "soft brushes", "brushwork", "brushed snare", "sweeping brushes",
        "jazz drummer", "gentle jazz drums",
    ),
    ("kit", "drum machine"): (
        "808", "tr-808", "electronic drums", "808s", "synthetic drums", "trap drums",
        "programmed drums", "digital drums", "roland drums", "eight-oh-eight",
    ),
    ("bass", "upright bass"): (
        "acoustic bass", "contrabass", "walking bass", "standup bass", "stand-up bass",
        "string bass", "woody bass",
    ),
    ("bass", "electric bass"): (
        "fingered bass", "p-bass", "funky bass", "fretted bass", "fender bass", "bassist",
    ),
    ("bass", "sub bass"): (
        "deep bass", "sine bass", "808 bass", "heavy bass", "low end bass", "rumbling bass",
        "subby bass", "synth bass",
    ),
    ("rain", "rain"): (
        "rainy", "rainfall", "raining", "drizzle", "raindrops", "rainstorm", "downpour", "showers",
        "stormy night", "pouring outside", "rain on the window", "thunderstorm", "monsoon",
        "rain on a tin roof", "pitter-patter", "wet streets", "rainy night", "rainy day",
    ),
    ("rain", "no rain"): ("free of rain", "rainless", "no raindrops", "minus the rain"),
    ("vinyl", "vinyl"): (
        "crackle", "record crackle", "dusty", "dusty record", "record player", "turntable",
        "surface noise", "old record", "lp crackle", "needle noise", "crackling", "scratchy record",
        "vintage record", "gramophone", "dusty grooves", "worn record", "pops and clicks", "retro",
    ),
    ("vinyl", "no vinyl"): (
        "no crackle", "noiseless", "without vinyl", "free of crackle", "no record noise",
        "no surface noise", "pristine recording", "noise-free",
    ),
    ("tone", "dark"): (
        "mellow tone", "muted", "low-pass filtered", "cozy", "cosy", "soft tone", "underwater",
        "warm tape", "smoky", "hazy", "velvety", "warmth", "cassette", "filtered", "fuzzy",
        "sleepy", "drowsy", "murky", "shadowy", "midnight",
    ),
    ("tone", "bright"): (
        "brilliant", "clear", "sparkling", "hi-fi", "sunny", "shiny", "airy", "open sound", "fresh",
        "glittering", "luminous", "sharp", "radiant", "sunlit", "summery",
    ),
    ("comping", "held chords"): ("long chords", "slow chords", "held chords", "lush chords"),
    ("comping", "offbeat chords"): ("syncopated chords", "stabs", "chord stabs", "off-beat chords"),
    ("comping", "broken chords"): ("arpeggiated chords", "plucked chords", "broken chords", "arpeggio"),
}
SCENES: tuple[tuple[str, Stated], ...] = (
    ("coffee shop", {"kit": "brushes", "bass": "upright bass"}),
    ("cafe", {"kit": "brushes", "bass": "upright bass"}),
    ("jazzy", {"bass": "upright bass"}),
    ("jazz club", {"bass": "upright bass", "kit": "brushes"}),
    ("late-night coding", {"keys": "electric piano", "vinyl": "vinyl"}),
    ("late night coding session", {"keys": "electric piano", "vinyl": "vinyl"}),
    ("old school hip hop", {"kit": "boom bap kit", "vinyl": "vinyl"}),
    ("campfire", {"keys": "nylon guitar"}),
    ("seaside", {"keys": "nylon guitar", "tone": "bright"}),
    ("umbrella weather", {"rain": "rain"}),
    ("storm outside", {"rain": "rain"}),
    ("grandfather's attic records", {"vinyl": "vinyl"}),
)
FILLERS = (
    "lofi", "lo-fi", "lofi hip hop", "lofi beats", "beats to study to", "chill", "chillhop", "study",
    "focus music", "relaxing", "background music", "instrumental", "slow", "fast", "upbeat", "sad",
    "happy", "nostalgic", "peaceful", "morning", "evening", "night", "winter", "autumn", "spring",
    "for reading", "for homework", "programming music", "deep work", "gentle", "smooth", "dreamy",
    "melancholic", "calm", "groovy", "laid back", "80 bpm", "75 bpm", "90 bpm", "no drums", "drumless",
    "no melody", "city lights", "train ride", "tokyo", "cat on the sofa", "library", "garden",
    "ocean", "space", "forest", "neon", "tea", "book", "homework", "weekend", "beat", "music", "track",
    "no vocals", "without vocals", "simple", "easy listening", "sunday", "holiday", "vim", "neovim",
    "a quiet street", "cloudy afternoon", "snow", "snowfall", "starry sky", "bus stop", "kitchen",
    "melody", "pad", "atmospheric", "ambient", "no singing", "no percussion", "tape wobble",
)
NOISE_WORDS = (
    "the of to a in is for on that by this with you it not or be are from at as your all have new"
    " more an was we will home can us about if page my has search free but our one other do no"
    " information time they site he up may what which their news out use any there see only so his"
    " when contact here business who web also now help get view online first been would how were"
    " services some these click its like service than find price date back top people had list name"
    " just over state year day into email two health world next used go work last most products"
    " buy data make them should product system post her city add policy number such please"
    " available copyright support message after best software then good video well where info"
    " rights public books high school through each links she review years order very privacy book"
    " items company read group need many user said does set under general research university mail"
    " full map reviews program life know games way days management part could great united hotel"
    " real item international center must store travel comments made development report off member"
    " details line terms before did send right type because local those using results office"
    " education national car design take posted internet address community within states area want"
    " phone shipping reserved subject between forum family long based code show even black check"
    " special prices website index being women much sign file link open today technology south case"
    " project same pages version section own found sports house related security both county"
    " american photo game members power while care network down computer systems three total place"
    " end following download him without per access think north resources current posts big media"
    " law control water history pictures size art personal since including guide shop directory"
    " board location change white text small rating rate government children during return students"
    " shopping account times sites level digital profile previous form events love old john main"
    " call hours image department title description something imagine give sound want playing late"
    " windows sitting listen hear feeling mood vibe playlist song piece some something really kind"
    " please write compose generate create produce featuring feature drifting gently softly slowly"
).split()
TEMPLATES = (
    "{0}", "{0}", "{filler} with {0}", "{filler}, {0}", "{0}, {filler}", "{0} {filler}",
    "{filler} {0}", "a {filler} track with {0}", "{filler} and {0}", "some {0} for {filler}",
    "I want {filler} music with {0}", "make me a {filler} beat featuring {0}", "{0} over {filler}",
    "something {filler}, maybe with {0}", "{filler} where you hear {0}", "give me {0}, {filler}",
    "please play {0} while I am doing {filler}", "the sound of {0} on a {filler} evening",
    "{noise} {0} {noise}", "{noise} {noise} {0} {filler} {noise}", "{filler} {noise} {0} {noise}",
    "{noise} {filler}", "{filler}", "{noise} {noise} {noise} {filler} {noise}",
)
HELD_OUT_SENTENCES = (
    "we are up late in the studio and {0} keeps us company until sunrise",
    "can you put together a calm little tune built around {0} that I could read to",
    "my grandmother loved {0}, so make something that reminds me of her kitchen",
    "it should feel like walking home alone with {0} following me down the road",
    "an unhurried instrumental, nothing fancy, just {0} and a steady pulse",
    "quiet background for studying: {0}, nothing too busy",
)
"""Sentences for measuring only; no caption of the training uses them."""


def phrase(attribute: str, value: str, random: Random, synonym: bool) -> str:
    """One way to name a value of an attribute."""
    table = SYNONYMS if synonym else PLAIN_WORDS
    return random.choice(table[(attribute, value)])


def caption(random: Random) -> tuple[str, Stated]:
    """A random caption and what it states."""
    stated: Stated = {}
    words: list[str] = []
    # Values are drawn evenly over all that can be said, at most one of each attribute.
    for attribute, value in random.sample(sorted(PLAIN_WORDS), random.choice((1, 1, 2, 2, 3, 4))):
        if attribute not in stated:
            stated[attribute] = value
            words.append(phrase(attribute, value, random, synonym=random.random() < 0.65))
    if random.random() < 0.15:
        scene, meaning = random.choice(SCENES)
        if not set(meaning) & set(stated):
            words.append(scene)
            stated |= meaning
    random.shuffle(words)
    template = random.choice(TEMPLATES)
    if "{0}" not in template:
        stated = {}
    glue = random.choice((", ", " and ", " ", ", ", " with ", " & "))
    text = template.replace("{0}", glue.join(words))
    while "{filler}" in text:
        text = text.replace("{filler}", random.choice(FILLERS), 1)
    while "{noise}" in text:
        text = text.replace("{noise}", random.choice(NOISE_WORDS), 1)
    return text, stated


def targets(stated: Stated) -> list[float]:
    """One number an attribute value, 1 where it is stated."""
    return [
        float(stated.get(attribute) == value)
        for attribute, values in ATTRIBUTES.items()
        for value in values
    ]
