package lti_test

import (
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"

	"go.acu.edu.au/runbook/lti"
)

// BenchmarkKnownKey is what each launch pays for its key: below 50 ns, and no
// allocation, whoever else is there.
func BenchmarkKnownKey(b *testing.B) {
	k := &keyServer{body: jwks(entry("2026-11-01T00:00:00Z", rsaKeys()[0], nil), entry("2026-12-01T00:00:00Z", rsaKeys()[1], nil)), header: http.Header{"Cache-Control": {"max-age=864000"}}}
	s := newKeySets(b, k, nil)
	if err := s.Load(b.Context(), jwksAddress, false); err != nil {
		b.Fatal(err)
	}
	get := func() {
		if _, err := s.Key(b.Context(), jwksAddress, "2026-11-01T00:00:00Z", false); err != nil {
			b.Error(err)
		}
	}
	ctx := b.Context()
	b.Run("alone", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := s.Key(ctx, jwksAddress, "2026-11-01T00:00:00Z", false); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("together", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				get()
			}
		})
	})
}

// BenchmarkUnknownKey is a name that nobody knows, soon after the set was read:
// below a microsecond.
func BenchmarkUnknownKey(b *testing.B) {
	s := newKeySets(b, &keyServer{body: jwks(entry("a", rsaKeys()[0], nil))}, nil)
	if err := s.Load(b.Context(), jwksAddress, false); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Key(b.Context(), jwksAddress, "b", false); !errors.Is(err, lti.ErrUnknownKey) {
			b.Fatal(err)
		}
	}
}

// BenchmarkUnknownKeys are a thousand of them at the same time, of a set that is
// not there yet. That they make one fetch is asserted.
func BenchmarkUnknownKeys(b *testing.B) {
	k := &keyServer{body: jwks(entry("a", rsaKeys()[0], nil))}
	s := newKeySets(b, k, nil)
	b.ReportAllocs()
	rounds := 0
	for b.Loop() {
		rounds++
		s.Forget(jwksAddress, false)
		var wg sync.WaitGroup
		for i := range 1000 {
			wg.Go(func() {
				if _, err := s.Key(b.Context(), jwksAddress, fmt.Sprint("made-up-", i), false); !errors.Is(err, lti.ErrUnknownKey) {
					b.Error(err)
				}
			})
		}
		wg.Wait()
	}
	if k.asked() != rounds {
		b.Errorf("%d fetches in %d rounds", k.asked(), rounds)
	}
	b.ReportMetric(float64(k.asked())/float64(rounds), "fetches/op")
}

// BenchmarkParseKeySet is Canvas's set of three keys, once in a day.
func BenchmarkParseKeySet(b *testing.B) {
	keys := rsaKeys()
	k := &keyServer{body: jwks(entry("past", keys[0], nil), entry("present", keys[1], nil), entry("future", keys[0], nil))}
	s := newKeySets(b, k, nil)
	b.ReportAllocs()
	for b.Loop() {
		s.Forget(jwksAddress, false)
		if err := s.Load(b.Context(), jwksAddress, false); err != nil {
			b.Fatal(err)
		}
	}
}
