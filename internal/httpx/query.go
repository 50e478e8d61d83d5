package httpx

import (
	"net/url"
	"strings"
)

// AddQuery returns the query raw with the parameters of add, which replace those
// of the same names. The rest of raw stays as it is, letter by letter: the server
// may compare it, or have signed it.
func AddQuery(raw string, add url.Values) string {
	if len(add) == 0 {
		return raw
	}
	var kept []string
	for pair := range strings.SplitSeq(raw, "&") {
		name, _, _ := strings.Cut(pair, "=")
		if plain, err := url.QueryUnescape(name); err == nil {
			name = plain
		}
		if pair != "" && !add.Has(name) {
			kept = append(kept, pair)
		}
	}
	return strings.Join(append(kept, add.Encode()), "&")
}
