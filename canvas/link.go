package canvas

import (
	"net/url"
	"strconv"
)

// pageNumber returns the number of the page that an address names, unless its
// page is a bookmark or a word.
func pageNumber(u *url.URL) (int, bool) {
	n, err := strconv.Atoi(u.Query().Get("page"))
	return n, err == nil && n > 0 && n < 1_000_000
}

// atPage returns the address with another page number, and nothing else changed.
func atPage(u *url.URL, n int) *url.URL {
	query := u.Query()
	query.Set("page", strconv.Itoa(n))
	out := *u
	out.RawQuery = query.Encode()
	return &out
}
