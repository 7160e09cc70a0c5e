package machine

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
)

// Words of generated names: short, plain, and none that could offend beside
// another.
var (
	adjectives = []string{
		"amber", "brave", "brisk", "bright", "calm", "clear", "clever", "cosy",
		"crisp", "deft", "eager", "early", "fair", "fleet", "fresh", "gentle",
		"glad", "golden", "grand", "green", "happy", "keen", "kind", "light",
		"lively", "lucky", "mellow", "merry", "mild", "neat", "noble", "polite",
		"proud", "quick", "quiet", "rapid", "ready", "silver", "smart", "snug",
		"solid", "steady", "sunny", "swift", "tidy", "vivid", "warm", "wise",
	}
	nouns = []string{
		"acorn", "aspen", "badger", "beacon", "birch", "bridge", "brook", "cedar",
		"comet", "cove", "crane", "delta", "ember", "falcon", "fern", "finch",
		"fjord", "gale", "garnet", "grove", "harbor", "heron", "island", "juniper",
		"kernel", "kite", "lagoon", "lark", "lantern", "maple", "meadow", "meteor",
		"otter", "pebble", "pine", "plover", "quartz", "raven", "reef", "river",
		"robin", "rowan", "spark", "summit", "thicket", "tide", "walnut", "willow",
	}
)

// NewName makes up a name. It may be taken: Create says so.
func NewName() string {
	return adjectives[rand.IntN(len(adjectives))] + "-" + nouns[rand.IntN(len(nouns))]
}

// MAC is the address of a machine's card number index: it follows from the
// name, so that a machine that is made again keeps it. 52:54:00 is the range
// that QEMU's machines use (locally administered).
func MAC(name string, index int) string {
	h := sha256.Sum256(fmt.Appendf(nil, "%s/%d", name, index))
	return fmt.Sprintf("52:54:00:%02x:%02x:%02x", h[0], h[1], h[2])
}
