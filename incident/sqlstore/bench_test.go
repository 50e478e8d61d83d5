package sqlstore_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/incident"
)

func eachDatabase(b *testing.B, bench func(b *testing.B, s incident.Store)) {
	for name, create := range map[string]func(testing.TB) opener{"sqlite": sqlite, "postgres": postgres} {
		b.Run(name, func(b *testing.B) { bench(b, newStore(b, create(b)())) })
	}
}

// large is a document of the size of an incident that has gone on for a while.
func large(id string) incident.Document {
	d := document(id, "key of "+id)
	d.Data = json.RawMessage(`{"summary":"` + strings.Repeat("x", 4000) + `"}`)
	return d
}

// BenchmarkCommit changes a document and adds an entry to its timeline and to the audit
// record, on disk with full synchronisation: about one synchronised write. The target for
// SQLite is 2 ms.
func BenchmarkCommit(b *testing.B) {
	eachDatabase(b, func(b *testing.B, s incident.Store) {
		d := commit(b, s, incident.Change{Documents: []incident.Document{large("a")}}).Documents[0]
		b.ReportAllocs()
		for b.Loop() {
			made, err := s.Commit(b.Context(), incident.Change{
				Documents: []incident.Document{d}, Entries: []incident.Entry{entry("incident/a", "acknowledged"), entry("audit", "acknowledged a")},
			})
			if err != nil {
				b.Fatal(err)
			}
			d = made.Documents[0]
		}
	})
}

// BenchmarkCommitShared has 4 writers for each core, each of a document of its own, who all write to the
// audit record. It has no target.
func BenchmarkCommitShared(b *testing.B) {
	eachDatabase(b, func(b *testing.B, s incident.Store) {
		var n atomic.Int64
		b.SetParallelism(4)
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			d := large(fmt.Sprint(n.Add(1)))
			for pb.Next() {
				made, err := s.Commit(b.Context(), incident.Change{Documents: []incident.Document{d}, Entries: []incident.Entry{entry("audit", "x")}})
				if err != nil {
					b.Error(err)
					return
				}
				d = made.Documents[0]
			}
		})
	})
}

// BenchmarkEntries reads a timeline of 1,000 entries. The target for SQLite is 5 ms.
func BenchmarkEntries(b *testing.B) {
	eachDatabase(b, func(b *testing.B, s incident.Store) {
		var some []incident.Entry
		for i := range 1000 {
			some = append(some, entry("incident/a", fmt.Sprint("the step restart ended after ", i, " s")))
		}
		commit(b, s, incident.Change{Entries: some})
		b.ReportAllocs()
		for b.Loop() {
			n := 0
			for _, err := range s.Entries(b.Context(), "incident/a", 0) {
				if err != nil {
					b.Fatal(err)
				}
				n++
			}
			require.Equal(b, 1000, n)
		}
	})
}

// BenchmarkOpen lists the 20 open incidents among 5,000. The target for SQLite is 1 ms.
func BenchmarkOpen(b *testing.B) {
	eachDatabase(b, func(b *testing.B, s incident.Store) {
		var all []incident.Document
		for i := range 5000 {
			d := document(fmt.Sprintf("INC-%04d", i), fmt.Sprint(i))
			d.Open = i%250 == 0
			all = append(all, d)
		}
		commit(b, s, incident.Change{Documents: all})
		b.ReportAllocs()
		for b.Loop() {
			n := 0
			for _, err := range s.Documents(b.Context(), incident.DocumentQuery{Kind: "incident", Open: true}) {
				if err != nil {
					b.Fatal(err)
				}
				n++
			}
			require.Equal(b, 20, n)
		}
	})
}
