package redisprobe

import (
	"math"
	"strconv"
	"strings"
)

// info is what a server answered to INFO: lines of a name, a colon and a value,
// under headings that begin with "#" (redis.io/commands/info).
type info map[string]string

// parseInfo reads the answer to INFO. It skips what is not a name and a value,
// since every version, module and imitation has lines of its own. Of a name
// that is there twice, the first counts.
func parseInfo(text string) info {
	in := make(info)
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		name, value, ok := strings.Cut(line, ":")
		if !ok || name == "" || name[0] == '#' {
			continue
		}
		if _, twice := in[name]; !twice {
			in[name] = value
		}
	}
	return in
}

// number returns a value that is a finite decimal number.
func (in info) number(name string) (float64, bool) { return number(in[name]) }

func number(s string) (float64, bool) {
	for _, c := range []byte(s) { // ParseFloat also takes hexadecimal, "inf" and "1_0"
		if (c < '0' || c > '9') && c != '.' && c != '-' {
			return 0, false
		}
	}
	f, err := strconv.ParseFloat(s, 64)
	return f, err == nil && !math.IsInf(f, 0)
}

// word returns a value for people: at most 64 bytes, and only printable ASCII.
func (in info) word(name string) string {
	s := in[name]
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s[:min(len(s), 64)])
}

// A replica is what a master says about one of its replicas:
// "slave0:ip=10.0.0.2,port=6379,state=online,offset=3038,lag=0".
type replica struct {
	online bool
	offset float64 // what it has confirmed of the replication stream
	known  bool    // whether offset is
}

// replicas returns the replicas that a master lists. They are numbered without
// gaps.
func (in info) replicas() []replica {
	var all []replica
	for {
		line, ok := in["slave"+strconv.Itoa(len(all))]
		if !ok {
			return all
		}
		var r replica
		for field := range strings.SplitSeq(line, ",") {
			switch name, value, _ := strings.Cut(field, "="); name {
			case "state":
				r.online = value == "online"
			case "offset":
				r.offset, r.known = number(value)
			}
		}
		all = append(all, r)
	}
}
