package netprobe

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Types and classes of records, and header flags (RFC 1035, sections 3.2 and
// 4.1.1; AAAA: RFC 3596).
const (
	typeA     = 1
	typeCNAME = 5
	typeMX    = 15
	typeTXT   = 16
	typeAAAA  = 28
	classIN   = 1

	flagResponse         = 1 << 15
	flagTruncated        = 1 << 9
	flagRecursionDesired = 1 << 8
)

var (
	// errForeign means that a message does not answer the question.
	errForeign = errors.New("not the answer to the question")
	// errMalformed means that a message breaks the format of RFC 1035.
	errMalformed = errors.New("malformed DNS message")
)

// A question asks for the records of one type that a name has.
type question struct {
	id    uint16
	name  string // lower case, without the final dot
	qtype uint16
}

// A record is one answer, as text.
type record struct {
	owner string // lower case, without the final dot
	rtype uint16
	text  string
}

// A reply is a server's answer.
type reply struct {
	rcode     uint8
	truncated bool // the records did not fit, and are not here
	records   []record
}

// pack returns the question as a message (RFC 1035, section 4.1).
func (q question) pack() []byte {
	msg := make([]byte, 0, 18+len(q.name))
	msg = binary.BigEndian.AppendUint16(msg, q.id)
	msg = binary.BigEndian.AppendUint16(msg, flagRecursionDesired)
	msg = append(msg, 0, 1, 0, 0, 0, 0, 0, 0)
	for label := range strings.SplitSeq(q.name, ".") {
		msg = append(msg, byte(len(label)))
		msg = append(msg, label...)
	}
	msg = append(msg, 0)
	msg = binary.BigEndian.AppendUint16(msg, q.qtype)
	return binary.BigEndian.AppendUint16(msg, classIN)
}

// parse reads a message. It returns errForeign for one that answers something
// else, and errMalformed for one that cannot be read.
func (q question) parse(msg []byte) (reply, error) {
	r := reader{msg: msg}
	id, flags := r.uint16(), r.uint16()
	questions, answers := r.uint16(), r.uint16()
	r.skip(4)
	if r.bad || id != q.id || flags&flagResponse == 0 {
		return reply{}, errForeign
	}
	rep := reply{rcode: uint8(flags & 0xf), truncated: flags&flagTruncated != 0}
	switch {
	case questions == 0 && rep.rcode != 0:
		return rep, nil // a server that could not read the question
	case questions != 1:
		return reply{}, errForeign
	}
	name, qtype, class := r.name(), r.uint16(), r.uint16()
	if r.bad || name != q.name || qtype != q.qtype || class != classIN {
		return reply{}, errForeign
	}
	if rep.truncated {
		return rep, nil
	}
	for range answers {
		if rec, ok := r.record(); ok {
			rep.records = append(rep.records, rec)
		}
		if r.bad {
			return reply{}, errMalformed
		}
	}
	return rep, nil
}

// find returns the texts of the records that answer the question: those of its
// name, or of the name that aliases lead to.
func (rep reply) find(q question) []string {
	name := q.name
	for range rep.records { // no chain of aliases is longer
		next, ok := rep.alias(name)
		if !ok || q.qtype == typeCNAME {
			break
		}
		name = next
	}
	var texts []string
	for _, rec := range rep.records {
		if rec.owner == name && rec.rtype == q.qtype {
			texts = append(texts, rec.text)
		}
	}
	return texts
}

func (rep reply) alias(name string) (string, bool) {
	for _, rec := range rep.records {
		if rec.owner == name && rec.rtype == typeCNAME {
			return rec.text, true
		}
	}
	return "", false
}

// A reader reads a message from its start. After something that is not there or
// not allowed, bad is set and everything read is zero.
type reader struct {
	msg []byte
	off int
	bad bool
}

// skip passes over n bytes and returns them.
func (r *reader) skip(n int) []byte {
	if r.bad || len(r.msg)-r.off < n {
		r.bad = true
		return nil
	}
	r.off += n
	return r.msg[r.off-n : r.off]
}

func (r *reader) uint16() uint16 {
	if b := r.skip(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

// maxName is the longest name, in its wire form (RFC 1035, section 2.3.4).
const maxName = 255

// name reads a name, which may end with a pointer to an earlier one (RFC 1035,
// section 4.1.4). Pointers must lead backwards, so that they come to an end.
func (r *reader) name() string {
	var b strings.Builder
	at, end, length := r.off, -1, 0
	least := r.off // pointers must lead to before here
	for !r.bad && at < len(r.msg) {
		size := int(r.msg[at])
		at++
		switch size & 0xc0 {
		case 0x00:
			if size == 0 {
				if r.off = at; end >= 0 {
					r.off = end
				}
				return b.String()
			}
			if length += size + 1; at+size > len(r.msg) || length >= maxName {
				r.bad = true
				return ""
			}
			if b.Len() > 0 {
				b.WriteByte('.')
			}
			writeLabel(&b, r.msg[at:at+size])
			at += size
		case 0xc0:
			if at >= len(r.msg) {
				r.bad = true
				return ""
			}
			to := (size&0x3f)<<8 | int(r.msg[at])
			if end < 0 {
				end = at + 1
			}
			if to >= least {
				r.bad = true
				return ""
			}
			at, least = to, to
		default:
			r.bad = true
		}
	}
	r.bad = true
	return ""
}

// writeLabel writes a label in lower case; bytes that would be taken for
// something else become \DDD (RFC 1035, section 5.1).
func writeLabel(b *strings.Builder, label []byte) {
	for _, c := range label {
		switch {
		case 'A' <= c && c <= 'Z':
			b.WriteByte(c + 'a' - 'A')
		case c <= ' ' || c >= 0x7f || c == '.' || c == '\\' || c == '"':
			fmt.Fprintf(b, `\%03d`, c)
		default:
			b.WriteByte(c)
		}
	}
}

// record reads a resource record. It is not ok if its type is none of ours.
func (r *reader) record() (rec record, ok bool) {
	rec.owner = r.name()
	rec.rtype = r.uint16()
	class := r.uint16()
	r.skip(4) // time to live
	size := int(r.uint16())
	if r.bad || len(r.msg)-r.off < size {
		r.bad = true
		return record{}, false
	}
	end := r.off + size
	if class != classIN {
		r.off = end
		return record{}, false
	}
	// Names in the data may point to anywhere before it, so the data is read in
	// place and must end where it says.
	data := reader{msg: r.msg[:end], off: r.off}
	rec.text, ok = data.text(rec.rtype)
	r.bad = data.bad || ok && data.off != end
	r.off = end
	return rec, ok && !r.bad
}

// text reads the data of a record of a type that is known.
func (r *reader) text(rtype uint16) (text string, ok bool) {
	switch rtype {
	case typeA:
		addr, _ := netip.AddrFromSlice(r.skip(4))
		return addr.String(), true
	case typeAAAA:
		addr, _ := netip.AddrFromSlice(r.skip(16))
		return addr.String(), true
	case typeCNAME:
		return r.name(), true
	case typeMX:
		preference := r.uint16()
		return strconv.Itoa(int(preference)) + " " + r.name(), true
	case typeTXT:
		var b strings.Builder
		for !r.bad && r.off < len(r.msg) {
			b.Write(r.skip(int(r.skip(1)[0])))
		}
		return b.String(), true
	}
	return "", false
}
