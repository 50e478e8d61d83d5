package lti

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// handoverLife is how long a code of [Tool.Handover] can be redeemed.
const handoverLife = time.Minute

// ErrCode means that a handover code was not made here, is too old, or was
// redeemed before.
var ErrCode = errors.New("lti: handover code is not valid")

// Handover returns a code with which a page can get its session where the
// browser keeps no cookies in frames: the host redirects from the launch to
// "/app?code=…", and the page there posts the code to the host, which redeems it
// and answers with a token that the page sends along from then on. A code serves
// once, for a minute.
//
// A code is bound to no browser: whoever opens an address with one gets that
// session, also somebody who was sent there by an attacker with a code of the
// attacker's own launch. Where that matters, answer the launch with a page that
// has the code in it, rather than with a redirect: only the browser of the login
// gets that page.
//
// data comes back from [Tool.Redeem]: the id of a session, not more. It is sealed
// and not encrypted; at most 1,000 bytes.
func (t *Tool) Handover(data string) (code string, err error) {
	if len(data) > 1000 {
		return "", fmt.Errorf("lti: handover: %d bytes, more than 1000", len(data))
	}
	b := binary.BigEndian.AppendUint64(nil, uint64(time.Now().Add(handoverLife).Unix()))
	b = append(b, rand.Text()...)
	b = append(b, data...)
	return (*t.sealers.Load())[0].seal(purposeHandover, b), nil
}

// Redeem returns the data of a code, once: of several calls one gets it. The
// error wraps [ErrCode], or is that of the nonce store.
func (t *Tool) Redeem(ctx context.Context, code string) (data string, err error) {
	const head = 8 + 26
	now := time.Now()
	if len(code) > maxState {
		return "", ErrCode
	}
	b, err := (*t.sealers.Load()).open(purposeHandover, code, now)
	if err != nil || len(b) < head {
		return "", ErrCode
	}
	end := time.Unix(int64(binary.BigEndian.Uint64(b)), 0)
	if !now.Before(end) {
		return "", fmt.Errorf("%w: it is older than %v", ErrCode, handoverLife)
	}
	err = t.nonces.Use(ctx, NewNonceID("handover", "", string(b[8:head])), end)
	if errors.Is(err, ErrNonceExpired) {
		return "", fmt.Errorf("%w: it is older than %v", ErrCode, handoverLife)
	}
	if errors.Is(err, ErrNonceUsed) {
		return "", fmt.Errorf("%w: it was redeemed before", ErrCode)
	}
	if err != nil {
		return "", fmt.Errorf("lti: redeem a handover code: %w", err)
	}
	return string(b[head:]), nil
}
