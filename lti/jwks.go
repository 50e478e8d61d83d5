package lti

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A ringView is what a ring does and publishes until something changes. It is
// never changed itself.
type ringView struct {
	keys   []ringKey // the whole ring, from which the next view is made
	until  time.Time // when the next key begins or retires; zero: never
	signer ringKey
	infos  []KeyInfo

	set    []byte
	length string
	etag   string
}

// newView returns what a ring does at a time. keys has one that does not retire.
func newView(keys []ringKey, fixed bool, now time.Time) *ringView {
	v := &ringView{keys: keys}
	for _, key := range keys {
		for _, change := range [...]time.Time{key.signsFrom, key.retiresAt} {
			if change.After(now) && (v.until.IsZero() || change.Before(v.until)) {
				v.until = change
			}
		}
	}
	shown := published(keys, now)
	signer := 0
	if !fixed {
		signer = signerOf(shown, now)
	}
	v.signer = shown[signer]
	others := slices.Delete(shown, signer, signer+1)
	if !fixed { // the order is the same on all replicas
		slices.SortStableFunc(others, func(a, b ringKey) int {
			return cmp.Or(b.signsFrom.Compare(a.signsFrom), cmp.Compare(a.kid, b.kid))
		})
	}
	shown = slices.Insert(others, 0, v.signer)
	v.publish(shown)
	for i, key := range shown {
		state := KeyReplaced
		switch {
		case i == 0:
			state = KeySigning
		case fixed:
			state = KeyPublished
		case now.Before(key.signsFrom):
			state = KeyWaiting
		}
		v.infos = append(v.infos, KeyInfo{key.kid, state, key.created, key.signsFrom, key.retiresAt})
	}
	return v
}

// publish writes the key set.
func (v *ringView) publish(keys []ringKey) {
	texts := make([][]byte, len(keys))
	for i, key := range keys {
		texts[i] = key.public
	}
	v.set = slices.Concat([]byte(`{"keys":[`), bytes.Join(texts, []byte(",")), []byte(`]}`))
	v.length = strconv.Itoa(len(v.set))
	sum := sha256.Sum256(v.set)
	v.etag = `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
}

// view returns what the ring does now. Nobody waits: if a time has come, whoever
// notices makes the next view, and the ring keeps the first.
func (k *KeyRing) view() *ringView {
	v := k.now.Load()
	if v.until.IsZero() {
		return v
	}
	now := time.Now()
	if now.Before(v.until) {
		return v
	}
	next := newView(v.keys, k.fixed, now)
	k.now.CompareAndSwap(v, next) // or the ring was changed meanwhile
	return k.now.Load()
}

// PublicSet returns the key set (RFC 7517, section 5) that is published now. It
// has public keys only, each with kid, kty, n, e, alg and use, all of which
// Canvas demands.
func (k *KeyRing) PublicSet() []byte { return slices.Clone(k.view().set) }

// Handler returns what serves the key set, from memory: Canvas fetches it for
// every token and every deep linking response. Mount it where the registration
// says that the tool's keys are, without authentication.
func (k *KeyRing) Handler() http.Handler {
	control := "no-cache"
	if age := k.cfg.MaxAge; age > 0 {
		control = "public, max-age=" + strconv.FormatInt(int64(age/time.Second), 10)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			h.Set("Allow", "GET, HEAD")
			http.Error(w, "the key set can only be read", http.StatusMethodNotAllowed)
			return
		}
		v := k.view()
		h.Set("Cache-Control", control)
		h.Set("Etag", v.etag)
		if matches(r.Header["If-None-Match"], v.etag) {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		h.Set("Content-Type", "application/json")
		h.Set("Content-Length", v.length)
		if r.Method == http.MethodGet {
			_, _ = w.Write(v.set)
		}
	})
}

// matches reports whether a caller has the version already (RFC 9110, section
// 13.1.2).
func matches(headers []string, etag string) bool {
	for _, header := range headers {
		for one := range strings.SplitSeq(header, ",") {
			one = strings.TrimPrefix(strings.TrimSpace(one), "W/")
			if one == etag || one == "*" {
				return true
			}
		}
	}
	return false
}
