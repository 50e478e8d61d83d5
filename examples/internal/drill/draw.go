package drill

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// A draw is what the seed makes of a scenario: when each fault begins, in which order, how
// long people take.
type draw struct {
	Seed    uint64
	Faults  []drawn
	Offset  time.Duration // until the first fault, after the host began
	Calm    time.Duration // how long all must be over before the exercise is
	Ack     time.Duration // negative: never
	Answer  time.Duration // negative: never
	Declare time.Duration
}

// drawn is a fault with its time after the first one.
type drawn struct {
	Kind  string
	After time.Duration
	For   time.Duration
	// Variant is which of the causes that such a fault can have it is.
	Variant string
}

// variants are the causes that a fault can have, where it matters to the oracle which.
func variants(kind string) []string {
	if kind == "crash-loop" {
		return []string{"state", "deploy"}
	}
	return nil
}

// drawFrom varies a scenario by a seed. The same seed makes the same of it.
func drawFrom(s scenario, seed uint64) draw {
	name := fnv.New64a()
	name.Write([]byte(s.Name))
	r := rand.New(rand.NewPCG(seed, name.Sum64()))
	d := draw{Seed: r.Uint64(), Offset: 15*time.Minute + between(r, 0, 5*time.Minute), Calm: 15 * time.Minute}
	for _, f := range s.Faults {
		after := f.After + between(r, 0, f.Apart)
		if f.Swap && r.IntN(2) == 0 {
			after = -after
		}
		length := f.For
		if length > 0 {
			length = between(r, length*8/10, length)
		}
		variant := f.Variant
		if all := variants(f.Kind); variant == "" && len(all) > 0 {
			variant = all[r.IntN(len(all))]
		}
		d.Faults = append(d.Faults, drawn{Kind: f.Kind, After: after, For: length, Variant: variant})
	}
	slices.SortStableFunc(d.Faults, func(a, b drawn) int { return cmp.Compare(a.After, b.After) })
	for i := len(d.Faults) - 1; i >= 0; i-- { // the first one begins at zero
		d.Faults[i].After -= d.Faults[0].After
	}
	d.Ack = people{Ack: s.People.Ack}.ack()
	if d.Ack > 0 {
		d.Ack = between(r, d.Ack/2, d.Ack)
	}
	d.Answer = people{Answer: s.People.Answer}.answer()
	if d.Answer > 0 {
		d.Answer = between(r, d.Answer/3, d.Answer)
	}
	if s.People.Declare != nil {
		d.Declare = between(r, s.People.Declare.After/2, s.People.Declare.After)
	}
	return d
}

func (p people) ack() time.Duration    { return cmp.Or(p.Ack, 5*time.Minute) }
func (p people) answer() time.Duration { return cmp.Or(p.Answer, 6*time.Minute) }

// between draws a time between two, in whole seconds.
func between(r *rand.Rand, from, to time.Duration) time.Duration {
	if to <= from {
		return from
	}
	return (from + time.Duration(r.Int64N(int64(to-from)+1))).Truncate(time.Second)
}

// pairs makes random scenarios of two faults each. Nothing is required of them: they are
// judged by what is forbidden in any case.
func pairs(n int, seed uint64, kinds []string) (list []scenario) {
	r := rand.New(rand.NewPCG(seed, uint64(len(kinds))))
	for i := range n {
		one, other := kinds[r.IntN(len(kinds))], kinds[r.IntN(len(kinds)-1)]
		if one == other {
			other = kinds[len(kinds)-1]
		}
		list = append(list, scenario{
			Name: fmt.Sprintf("pair-%03d-%s+%s", i+1, one, other), Title: one + " and " + other,
			Faults: []fault{{Kind: one}, {Kind: other, Apart: 40 * time.Minute, Swap: true}},
			At:     between(r, 0, 24*time.Hour), Weekend: r.IntN(4) == 0, Watch: 4 * time.Hour,
			People: people{Mends: kinds, Ack: between(r, time.Minute, 20*time.Minute), Answer: between(r, time.Minute, 20*time.Minute)},
			Oracle: oracle{}, Pair: true,
		})
	}
	return list
}

// number is the name of a pair without its faults: pair-007.
func (s scenario) number() string {
	i := strings.Index(s.Name, "-") + 1
	j := strings.Index(s.Name[i:], "-")
	return s.Name[:i+max(j, 0)]
}
