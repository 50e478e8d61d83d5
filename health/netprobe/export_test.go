package netprobe

// Wire gives tests the reader of DNS messages.
type Wire struct{ q question }

// NewWire returns the question for a name and a type.
func NewWire(id uint16, name string, qtype uint16) Wire {
	return Wire{question{id: id, name: name, qtype: qtype}}
}

// Pack returns the question as a message.
func (w Wire) Pack() []byte { return w.q.pack() }

// Parse returns the records in a message that answer the question.
func (w Wire) Parse(msg []byte) ([]string, error) {
	rep, err := w.q.parse(msg)
	return rep.find(w.q), err
}
