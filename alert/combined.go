package alert

import (
	"slices"
	"strings"
	"time"
)

// judgeUnequal judges the rules that compare the sources of an input with one another.
func (e *Engine) judgeUnequal(feeds []*Feed, now time.Time) {
	for _, r := range e.unequal {
		said := make(map[string]map[string][]string) // the entities of an environment, by what they say
		for _, f := range feeds {
			if f.Input != r.Input {
				continue
			}
			if text, ok := f.says(r, now); ok {
				if said[f.Environment] == nil {
					said[f.Environment] = make(map[string][]string)
				}
				said[f.Environment][text] = append(said[f.Environment][text], f.Entity)
			}
		}
		judged := make(map[Source]bool)
		for environment, texts := range said {
			v := verdict{says: good, value: float64(len(texts)), limit: 1}
			if len(texts) > 1 {
				v.says, v.text = bad, differences(texts)
			}
			s := Source{Input: "unequal:" + r.Name, Environment: environment}
			judged[s] = true
			e.judgeWhole(r, s, v, now)
		}
		closeOthers(feeds, "unequal:"+r.Name, judged)
	}
}

// says returns what a source says, unless it does not report any more.
func (f *Feed) says(r *Rule, now time.Time) (string, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if after := f.noDataAfter(r); f.closed || after > 0 && now.Sub(f.last) > after {
		return "", false
	}
	for _, st := range f.states {
		if j, ok := st.judge.(*textJudge); ok && st.rule == r {
			return j.text, j.known
		}
	}
	return "", false
}

func differences(said map[string][]string) string {
	var parts []string
	for text, entities := range said {
		slices.Sort(entities)
		parts = append(parts, strings.Join(entities, ", ")+": "+text)
	}
	slices.Sort(parts)
	return cut(strings.Join(parts, "; "), longestDifference)
}

// longestDifference is how much is said of sources that differ: of thousands, nobody reads all.
const longestDifference = 1000

// closeOthers ends what a rule said of things that are no longer there.
func closeOthers(feeds []*Feed, input string, judged map[Source]bool) {
	for _, f := range feeds {
		if f.Input == input && !judged[f.Source] {
			f.Close()
		}
	}
}

// A combination is a rule over other rules, and what it is about.
type combination struct {
	rule    *Rule
	changed int // Engine.changed when the things were collected
	things  map[Source]map[string]string
}

// judgeCombined judges the rules over other rules, for each thing of which one of them
// knows.
func (e *Engine) judgeCombined(now time.Time) {
	for _, c := range e.combined {
		e.collect(c)
		rule := c.rule.When.(Combined)
		for s, keys := range c.things {
			fires := func(rule string) bool { return e.out.fires(keys[rule]) }
			v := verdict{says: good}
			if rule.holds(fires) {
				v.says, v.text = bad, strings.Join(slices.DeleteFunc(rule.rules(), func(rule string) bool { return !fires(rule) }), ", ")
			}
			e.judgeWhole(c.rule, s, v, now)
		}
	}
}

func (c Combined) holds(fires func(string) bool) bool {
	for _, rule := range c.All {
		if !fires(rule) {
			return false
		}
	}
	return (len(c.Any) == 0 || slices.ContainsFunc(c.Any, fires)) && !slices.ContainsFunc(c.None, fires)
}

// collect finds what the rules of a combination are about, with the keys of their alerts,
// if sources have come or gone since.
func (e *Engine) collect(c *combination) {
	e.mu.RLock()
	if c.changed == e.changed && c.things != nil {
		e.mu.RUnlock()
		return
	}
	names := c.rule.When.(Combined).rules()
	inputs := make(map[string]bool)
	for i := range e.cfg.Rules {
		if r := &e.cfg.Rules[i]; slices.Contains(names, r.Name) {
			inputs[r.Input], inputs["combined:"+r.Name], inputs["unequal:"+r.Name] = r.Input != "", true, true
		}
	}
	things := make(map[Source]map[string]string)
	var feeds []*Feed
	for s, f := range e.sources {
		feeds = append(feeds, f)
		thing := Source{"combined:" + c.rule.Name, s.Environment, s.Entity}
		if !inputs[s.Input] || things[thing] != nil {
			continue
		}
		keys := make(map[string]string)
		for _, name := range names {
			keys[name] = Key(name, s.Environment, s.Entity, Failing)
		}
		things[thing] = keys
	}
	c.things, c.changed = things, e.changed
	e.mu.RUnlock()
	judged := make(map[Source]bool)
	for s := range things {
		judged[s] = true
	}
	closeOthers(feeds, "combined:"+c.rule.Name, judged)
}

// judgeWhole evaluates a rule that has no samples of its own.
func (e *Engine) judgeWhole(r *Rule, s Source, v verdict, now time.Time) {
	e.mu.Lock()
	f := e.sources[s]
	if f == nil {
		if _, open := e.restored[Key(r.Name, s.Environment, s.Entity, Failing)]; v.says == good && !open {
			e.mu.Unlock()
			return
		}
		f = e.newFeed(source{Source: s}, []*Rule{r})
	}
	e.mu.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.closed {
		f.last = now
		f.step(f.states[0], v, now)
	}
}
