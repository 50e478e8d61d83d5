package canvas

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"net/url"
	"strconv"
	"strings"
)

// An ID is Canvas's number for an object. Ids of objects in another shard of
// Canvas are above 2⁵³, where a floating-point number is no longer exact
// (10000000000001), so that an ID is decoded from its digits. Canvas writes ids
// as numbers or, in some answers, as text; both are read, and so is the short
// form of a global id, "1~234". The zero ID is no object.
type ID int64

// ParseID reads an id in any of its forms.
func ParseID(s string) (ID, error) {
	shard, local, global := strings.Cut(s, "~")
	if !global {
		n, err := digits(s)
		return ID(n), err
	}
	a, err := digits(shard)
	if err != nil {
		return 0, err
	}
	b, err := digits(local)
	if err != nil {
		return 0, err
	}
	// A global id is the number of the shard times 10¹³ plus the local id.
	const shardSize = 10_000_000_000_000
	if b >= shardSize || a > (math.MaxInt64-b)/shardSize {
		return 0, errID
	}
	return ID(a*shardSize + b), nil
}

var errID = errors.New("canvas: id: is not a whole number from 0 to 9223372036854775807, or two with ~ between them")

func digits(s string) (int64, error) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, errID
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0, errID
	}
	return n, nil
}

// String returns the digits.
func (id ID) String() string { return strconv.FormatInt(int64(id), 10) }

// Ref returns the id in the form that paths take.
func (id ID) Ref() Ref { return Ref(id.String()) }

// MarshalJSON writes a number.
func (id ID) MarshalJSON() ([]byte, error) { return strconv.AppendInt(nil, int64(id), 10), nil }

// UnmarshalJSON reads a number or a text. As for all types of Go, null changes
// nothing; where it means something, use [Null].
func (id *ID) UnmarshalJSON(data []byte) error {
	if bytes.Equal(data, []byte("null")) {
		return nil
	}
	s := string(data)
	if n := len(s); n >= 2 && s[0] == '"' && s[n-1] == '"' {
		s = s[1 : n-1]
	}
	parsed, err := ParseID(s)
	if err != nil {
		return err
	}
	*id = parsed
	return nil
}

// A Ref names an object in a path: the digits of an [ID], a special word, or an
// id of another system; see [SIS]. It is escaped where it is used.
type Ref string

// Special words that Canvas takes in place of an id.
const (
	Self      Ref = "self"       // the user of the token; the root account
	Default   Ref = "default"    // the default account
	SiteAdmin Ref = "site_admin" // the account of the whole installation
)

// SIS refers to an object by an id of another system, in the form that Canvas
// has for the kind of id: "sis_course_id", "sis_user_id", "sis_account_id",
// "sis_login_id", "sis_section_id", "sis_term_id", "lti_context_id",
// "lti_user_id", "uuid", "integration_id". SIS ids with characters that a path
// may not hold, even escaped, are sent in Canvas's hexadecimal form (docs: SIS
// IDs).
func SIS(kind, value string) Ref {
	for _, r := range value {
		if strings.HasPrefix(kind, "sis_") && !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-", r) {
			return Ref("hex:" + kind + ":" + hex.EncodeToString([]byte(value)))
		}
	}
	return Ref(kind + ":" + value)
}

// Path joins and escapes the segments of a path below /api/v1. A segment may
// have any text in it, but none is empty:
//
//	canvas.Path("courses", string(course), "pages", slug)
//
// An empty segment, or one of only dots, which would name another object, makes
// a path that [Client.Do] refuses.
func Path(segments ...string) string {
	var b strings.Builder
	b.WriteString("/api/v1")
	for _, segment := range segments {
		b.WriteByte('/')
		if segment == "" {
			segment = "."
		}
		b.WriteString(url.PathEscape(segment))
	}
	return b.String()
}
