package dns

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	miekg "github.com/miekg/dns"
)

const (
	// udpSize is the largest answer over UDP, in bytes, that no network cuts up.
	// https://www.dnsflagday.net/2020/
	udpSize = 1232
	// maxPacket is what is read of one packet, in bytes: servers may pass udpSize over.
	maxPacket = 4096
	// maxStray is how many packets that answer something else are passed over.
	maxStray = 8
)

// outcome is what became of a question.
type outcome int

const (
	silent      outcome = iota // no answer, or none that can be read
	unreachable                // no way from this computer
	failed                     // the server says that it cannot, or is not the one to ask
	absent                     // there is no such name, or no such record
	found
)

// question is for one server or, with rd, for a resolver. cd asks it not to check DNSSEC.
type question struct {
	name   string // in full, small letters, no last dot
	kind   uint16
	rd, cd bool
}

type answer struct {
	outcome outcome
	msg     *miekg.Msg // nil if silent or unreachable
	trouble string     // what went wrong, in words; empty if absent or found
}

var errUnreachable = errors.New("no way to it from this computer")

// ask puts a question to one server: twice over UDP, and over TCP if the answer was cut.
func (a *Checker) ask(ctx context.Context, address string, q question) answer {
	ctx, cancel := context.WithTimeout(ctx, QuestionTime)
	defer cancel()
	msg, err := a.exchange(ctx, "udp", address, q, true)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() == nil:
		msg, err = a.exchange(ctx, "udp", address, q, true)
	case err == nil && (msg.Rcode == miekg.RcodeFormatError || msg.Rcode == miekg.RcodeNotImplemented):
		msg, err = a.exchange(ctx, "udp", address, q, false)
	}
	if err == nil && msg.Truncated {
		if msg, err = a.exchange(ctx, "tcp", address, q, true); err != nil {
			return answer{silent, nil, "cut its answer, and gave none over TCP (" + reason(err) + ")"}
		}
	}
	switch {
	case errors.Is(err, errUnreachable):
		return answer{unreachable, nil, "cannot be reached from this computer"}
	case err != nil:
		return answer{silent, nil, "does not answer (" + reason(err) + ")"}
	case msg.Rcode == miekg.RcodeNameError:
		return answer{absent, msg, ""}
	case msg.Rcode != miekg.RcodeSuccess:
		return answer{failed, msg, "answers " + rcode(msg.Rcode)}
	case len(msg.Answer) == 0:
		return answer{absent, msg, ""}
	}
	return answer{found, msg, ""}
}

func rcode(code int) string {
	if name, ok := miekg.RcodeToString[code]; ok {
		return name
	}
	return "an unknown code"
}

// reason is an error without addresses, which the evidence has already.
func reason(err error) string {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return "time is up"
	case errors.Is(err, context.Canceled):
		return "interrupted"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "the port is closed"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the connection was closed"
	}
	return "the network fails"
}

// exchange asks once. It passes over packets that answer another question.
func (a *Checker) exchange(ctx context.Context, network, address string, q question, edns bool) (*miekg.Msg, error) {
	m := new(miekg.Msg).SetQuestion(miekg.Fqdn(q.name), q.kind)
	m.RecursionDesired, m.CheckingDisabled = q.rd, q.cd
	if edns {
		m.SetEdns0(udpSize, false)
	}
	packed, err := m.Pack()
	if err != nil {
		return nil, err
	}
	conn, err := a.dial(ctx, network, address)
	if err != nil {
		if network == "udp" && ctx.Err() == nil {
			err = errUnreachable
		}
		return nil, err
	}
	defer conn.Close()
	deadline := time.Now().Add(QuestionTime / 2)
	if end, ok := ctx.Deadline(); ok && end.Before(deadline) {
		deadline = end
	}
	_ = conn.SetDeadline(deadline)
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if network == "tcp" {
		packed = append(binary.BigEndian.AppendUint16(nil, uint16(len(packed))), packed...)
	}
	if _, err := conn.Write(packed); err != nil {
		return nil, err
	}
	for range maxStray {
		text, err := read(conn, network)
		if err != nil {
			return nil, err
		}
		got := new(miekg.Msg)
		if got.Unpack(text) == nil && answers(m, got) {
			return got, nil
		}
	}
	return nil, errors.New("it answers what was not asked")
}

func read(conn net.Conn, network string) ([]byte, error) {
	if network == "udp" {
		text := make([]byte, maxPacket)
		n, err := conn.Read(text)
		return text[:n], err
	}
	var size [2]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return nil, err
	}
	text := make([]byte, binary.BigEndian.Uint16(size[:]))
	_, err := io.ReadFull(conn, text)
	return text, err
}

// answers says whether got answers what m asks. A server that refuses may leave the
// question out.
func answers(m, got *miekg.Msg) bool {
	if !got.Response || got.Id != m.Id || got.Opcode != miekg.OpcodeQuery {
		return false
	}
	if len(got.Question) == 0 {
		return got.Rcode != miekg.RcodeSuccess && got.Rcode != miekg.RcodeNameError
	}
	asked, said := m.Question[0], got.Question[0]
	return len(got.Question) == 1 && said.Qtype == asked.Qtype && said.Qclass == asked.Qclass && strings.EqualFold(said.Name, asked.Name)
}
