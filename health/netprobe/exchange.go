package netprobe

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http/httptrace"

	"go.acu.edu.au/runbook/internal/netcheck"
)

// maxDatagram is more than a server sends over UDP to a client that has not
// asked for more (512 bytes: RFC 1035, section 4.2.1), so that a server that
// breaks the rule can still be read.
const maxDatagram = 4 << 10

// exchange asks server one question over UDP, and again over TCP if the answer
// did not fit (RFC 7766). A datagram that is lost is not sent again.
func exchange(ctx context.Context, line *netcheck.Timeline, dialer Dialer, server string, name string, qtype uint16) (reply, question, error) {
	q := question{id: uint16(rand.Uint32()), name: name, qtype: qtype}
	rep, err := ask(ctx, line, dialer, "udp", server, q)
	if err == nil && rep.truncated {
		rep, err = ask(ctx, line, dialer, "tcp", server, q)
		if err == nil && rep.truncated {
			err = errMalformed
		}
	}
	return rep, q, err
}

// ask asks over one connection.
func ask(ctx context.Context, line *netcheck.Timeline, dialer Dialer, network, server string, q question) (reply, error) {
	line.Enter(netcheck.Starting)
	conn, err := dialer.DialContext(httptrace.WithClientTrace(ctx, line.Trace()), network, server)
	if err != nil {
		return reply{}, err
	}
	defer bind(ctx, conn)()
	line.Connected(conn)
	if network == "tcp" {
		return askStream(line, conn, q)
	}
	if _, err := conn.Write(q.pack()); err != nil {
		return reply{}, err
	}
	line.Enter(netcheck.Waiting)
	buf := make([]byte, maxDatagram)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return reply{}, err
		}
		// What does not answer the question came late or is forged.
		if rep, err := q.parse(buf[:n]); !errors.Is(err, errForeign) {
			line.Enter(netcheck.Head)
			return rep, err
		}
	}
}

// askStream asks over TCP, where a length precedes each message (RFC 1035,
// section 4.2.2).
func askStream(line *netcheck.Timeline, conn net.Conn, q question) (reply, error) {
	msg := q.pack()
	msg = append(binary.BigEndian.AppendUint16(nil, uint16(len(msg))), msg...)
	if _, err := conn.Write(msg); err != nil {
		return reply{}, err
	}
	line.Enter(netcheck.Waiting)
	var size [2]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return reply{}, err
	}
	msg = make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(conn, msg); err != nil {
		return reply{}, err
	}
	line.Enter(netcheck.Head)
	return q.parse(msg)
}
