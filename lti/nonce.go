package lti

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"time"
)

// ErrNonceUsed means that a [NonceStore] has the nonce already: the token that
// carries it is a replay.
var ErrNonceUsed = errors.New("nonce was used before")

// ErrNonceExpired means that a [NonceStore] was asked about a nonce whose time is
// over, so that nobody can tell any more whether it was used. That happens when a
// token expires while its launch is on the way.
var ErrNonceExpired = errors.New("the time of the nonce is over, so it is not known any more whether it was used")

// A NonceID identifies a nonce in a [NonceStore]: 128 bits of a hash of issuer,
// client id and nonce. Nonces of different platforms never meet, and the store
// does not learn the nonce.
type NonceID [16]byte

// String returns the id in hexadecimal.
func (id NonceID) String() string { return hex.EncodeToString(id[:]) }

// NewNonceID returns the id of a nonce that a platform issued, or was given, for
// a client. The parts are length-prefixed, so that no two triples are alike.
func NewNonceID(issuer, clientID, nonce string) NonceID {
	b := make([]byte, 0, 256)
	for _, part := range [...]string{issuer, clientID, nonce} {
		b = binary.AppendUvarint(b, uint64(len(part)))
		b = append(b, part...)
	}
	sum := sha256.Sum256(b)
	return NonceID(sum[:16])
}

// A NonceStore remembers which nonces were used, for all replicas of a tool.
// [MemoryNonces] is one for a single process; packages sqlnonce and redisnonce
// have others.
//
// Implementations must be safe for concurrent use and honour the context.
type NonceStore interface {
	// Use records that a nonce is used, and remembers it at least until until.
	// If it is recorded already, and has not expired, the error wraps
	// [ErrNonceUsed]. The check and the record are one atomic step: of any number
	// of calls at the same time, on any replica, exactly one succeeds. Any other
	// error means that the store could not be asked, or that nobody knows: the
	// launch is then refused. A store that is full refuses too; it never
	// forgets a live nonce to make room. If until is over the error wraps
	// [ErrNonceExpired]. A context that is read only (see runbook.ReadOnly) is
	// refused: nothing is recorded.
	Use(ctx context.Context, id NonceID, until time.Time) error

	// PurgeExpired removes nonces whose time is over, and returns how many. It
	// never removes a live one: that would let its token be used again. This is
	// all that "clear the nonce cache" can mean.
	PurgeExpired(ctx context.Context) (removed int, err error)
}
