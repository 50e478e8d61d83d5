package dynreg

// ParsePlatform reads a configuration.
func ParsePlatform(body []byte) (Platform, error) {
	p, e := parsePlatform(body)
	if e != nil {
		return p, e
	}
	return p, nil
}

// ParseAnswer reads the answer of a platform to a registration of the tool.
func (r *Registrar) ParseAnswer(body []byte, p *Platform) (Registered, error) {
	asked, e := r.cfg.Tool.request(p)
	if e != nil {
		return Registered{}, e
	}
	out, e := parseAnswer(body, asked, p)
	if e != nil {
		return out, e
	}
	return out, nil
}

// CheckHosts compares the hosts of a platform.
func (r *Registrar) CheckHosts(p *Platform, from string) error {
	if e := r.checkHosts(p, from, new(invitation)); e != nil {
		return e
	}
	return nil
}
