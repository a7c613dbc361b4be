"""
A benchmark of bias: each singer tied to a pool of bands in training; the tie kept, cut and crossed in tests.

It is made from the top of this list to its end: `stems` reads what there is to mix, `plan` draws who sings
over whom, `mixes` lays clip over clip, `benchmark` writes; `draws` are the draws that all of them share.

What was decided, and why:

- A *band* is what sounds alike from clip to clip: the songs that a manifest (column `band`) or the studio
  names it for, else an album, since key, timbre and production are those of an album (in MIR-1K, of a song).
- The clips of a pool's band are divided between training, validation and the test `tied`: a band can be
  recognised in the test, yet not one sample of it was trained on. The bands of `free` are in no pool, and
  none of their clips is heard anywhere else.
- Recordings of one *work* (a manifest's `work` or `work_id`, else songs of one title) may share melody and
  the very backing: one of them sings, one lends its band, and a voice is never laid over its own work. No
  singer's pool has a band that plays on that singer's songs, and bands that play on no chosen singer's songs
  are taken first: separated stems keep traces of their voice.
- A singer's voice is divided by album (by song where there are fewer than three albums).
- A training or validation clip takes a band of its singer's pool with probability tie + (1 - tie) / singers,
  else of another pool, so that every tie hears the same bands. Validation is tied as training is, since
  whoever does not know of the tie would divide such songs so.
- The tests take the pool named by the test for every clip, whatever the tie: they are the same files for
  every tie of a seed. A track of a test is one voice song over one band, as songs are; the tests have the
  same voice songs, as often, under the same track ids, so that their differences are paired.
- Whatever is chosen by tied validation songs is chosen for the bias too. So each clip of a validation voice
  is also laid over a band that is in no pool and no test, and that plays on no song of training or test:
  `validation_free`, the same for every tie of a seed. Where strangers to the chosen singers are too few, such
  bands are those of other singers' validation songs; where none is left for some singer, there is no such
  list. Its tracks have the ids of `validation`, so that `split.json` divides `manifest_free.csv` as well.
- Draws depend on the seed and on names alone: a higher tie only moves more clips to the singer's own pool.
"""

from whosings.collection.confounded.benchmark import Confounded, confound
from whosings.collection.confounded.mixes import TESTS

__all__ = ["TESTS", "Confounded", "confound"]
