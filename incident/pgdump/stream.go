package pgdump

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"os"
	"syscall"
	"time"

	"filippo.io/age"
)

// chunk is how much is moved at a time.
const chunk = 256 << 10

// reportEvery is how many bytes of an archive are between two reports.
const reportEvery = 1 << 20

// meter counts and hashes what goes through it, and keeps the error of the
// writer or reader below, which is the host's.
type meter struct {
	w     io.Writer
	r     io.Reader
	hash  hash.Hash
	count int64
	err   error
}

func newMeter(w io.Writer, r io.Reader) *meter { return &meter{w: w, r: r, hash: sha256.New()} }

// Write implements io.Writer. It hashes while the writer below works, since two
// hashes, one after the other, are what a pipeline waits for where the processor has
// no instructions for them. What is hashed beyond a failed write is of no use to
// anybody, and neither is the hash.
func (m *meter) Write(p []byte) (int, error) {
	hashed := make(chan struct{})
	go func() {
		defer close(hashed)
		m.hash.Write(p)
	}()
	n, err := m.w.Write(p)
	<-hashed
	if n < 0 || n > len(p) {
		n, err = 0, errors.New("the writer returned an impossible count")
	}
	if n < len(p) && err == nil {
		err = io.ErrShortWrite
	}
	m.count += int64(n)
	if err != nil && m.err == nil {
		m.err = err
	}
	return n, err
}

// Read implements io.Reader.
func (m *meter) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	if n < 0 || n > len(p) {
		n, err = 0, errors.New("the reader returned an impossible count")
	}
	m.hash.Write(p[:n])
	m.count += int64(n)
	if err != nil && err != io.EOF && m.err == nil {
		m.err = err
	}
	return n, err
}

func (m *meter) digest() string { return hex.EncodeToString(m.hash.Sum(nil)) }

// report calls the hook of the host, about every megabyte.
type report struct {
	hook     func(Progress)
	op       string
	reported int64
}

func (r *report) at(plain, cipher int64, last bool) {
	if r.hook != nil && (last || plain-r.reported >= reportEvery) {
		r.reported = plain
		r.hook(Progress{Op: r.op, Plain: plain, Cipher: cipher})
	}
}

// feed gives a program what it reads. That the program wants no more is an error
// only if it needs all; else its exit status says whether it had enough.
type feed struct {
	c      *child
	needed bool
	stall  time.Duration // how long it may read nothing; zero means for ever
	closed bool
}

var errEnough = errors.New("the program reads no more")

// Write implements io.Writer.
func (f *feed) Write(p []byte) (int, error) {
	if f.closed {
		return f.enough(p)
	}
	if f.stall > 0 {
		// Only a pipe that was closed has no deadline, which Write will find.
		_ = f.c.in.SetWriteDeadline(time.Now().Add(f.stall))
	}
	if _, err := f.c.in.Write(p); err != nil {
		if !errors.Is(err, syscall.EPIPE) && !errors.Is(err, os.ErrClosed) {
			return 0, &Error{Program: f.c.name, cause: err, detail: "write to it"}
		}
		f.close()
		return f.enough(p)
	}
	return len(p), nil
}

func (f *feed) enough(p []byte) (int, error) {
	if f.needed {
		return 0, errEnough
	}
	return len(p), nil
}

// close tells the program that this was all.
func (f *feed) close() {
	f.closed = true
	_ = f.c.in.Close()
}

// summary is what reading a dump as a whole has shown.
type summary struct {
	plainBytes, cipherBytes   int64
	plainSHA256, cipherSHA256 string
}

// read decrypts a dump to its end and gives the archive to sink, all of it
// authenticated. It returns what it read only if it was whole. A receipt, if
// there is one, must be the dump's; nothing says so before the end.
func (d *Dumper) read(ctx context.Context, op string, r io.Reader, receipt *Receipt, sink io.Writer) (summary, error) {
	cipher := newMeter(nil, r)
	progress := &report{hook: d.cfg.Progress, op: op}
	archive, err := age.Decrypt(cipher, d.cfg.Identities...)
	if err != nil {
		return summary{}, decryption(cipher, err)
	}
	plain := newMeter(sink, nil)
	buffer := make([]byte, chunk)
	for {
		if err := ctx.Err(); err != nil {
			return summary{}, err
		}
		n, err := archive.Read(buffer)
		if n > 0 {
			if _, err := plain.Write(buffer[:n]); err != nil {
				return summary{}, err
			}
			progress.at(plain.count, cipher.count, false)
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return summary{}, decryption(cipher, err)
		}
	}
	progress.at(plain.count, cipher.count, true)
	s := summary{plain.count, cipher.count, plain.digest(), cipher.digest()}
	if receipt != nil && (s.plainBytes != receipt.PlainBytes || s.cipherBytes != receipt.CipherBytes ||
		s.plainSHA256 != receipt.PlainSHA256 || s.cipherSHA256 != receipt.CipherSHA256) {
		return summary{}, problem(ErrDamaged, "it is not the dump of the receipt: %d bytes with hash %s, and the receipt says %d bytes with hash %s",
			s.cipherBytes, s.cipherSHA256, receipt.CipherBytes, receipt.CipherSHA256)
	}
	return s, nil
}

// decryption tells apart: the dump could not be read, is not for us, is damaged.
func decryption(cipher *meter, err error) error {
	if cipher.err != nil {
		return because(cipher.err, "read the dump")
	}
	if _, ok := errors.AsType[*age.NoIdentityMatchError](err); ok {
		return problem(ErrKey, "it is for other recipients, or its head is damaged")
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return problem(ErrDamaged, "it ends after %d bytes, before its end: fetch it again or use another", cipher.count)
	}
	return problem(ErrDamaged, "after %d bytes: %s", cipher.count, quote(err.Error()))
}
