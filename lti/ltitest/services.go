package ltitest

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

func (p *Platform) serviceRoutes(on func(pattern string, e Endpoint, m methods)) {
	on(pathToken, TokenEndpoint, methods{"POST": p.serveToken})
	const items = "/api/lti/courses/{course}/line_items"
	on(items, LineItems, methods{"GET": p.listLineItems, "POST": p.createLineItem})
	on(items+"/{item}", OneLineItem, methods{"GET": p.getLineItem, "PUT": p.putLineItem, "DELETE": p.deleteLineItem})
	on(items+"/{item}/scores", Scores, methods{"POST": p.postScore})
	on(items+"/{item}/results", Results, methods{"GET": p.listResults})
	on(items+"/{item}/results/{user}", Results, methods{"GET": p.listResults})
	on("/api/lti/courses/{course}/names_and_roles", Memberships, methods{"GET": p.listMembers})
	on("/api/lti/notice-handlers/{tool}", Notices, methods{"GET": p.listHandlers, "PUT": p.putHandler})
	on("/courses/{course}/deep_linking_response", DeepLinks, methods{"POST": p.takeDeepLinks})
	on(pathConfiguration, Configuration, methods{"GET": p.serveConfiguration})
	on(pathRegistration, Registrations, methods{"POST": p.registerTool})
}

// course returns the course in the path.
func (c *call) course() *course {
	for _, crs := range c.p.courses {
		if c.r.PathValue("course") == itoa(crs.number) {
			return crs
		}
	}
	return nil
}

// misaddressed reports whether the query of a service's address got lost.
func (c *call) misaddressed() bool { return !c.p.Canvas && c.query.Get("type_id") != "7" }

// lost is the answer to what is misaddressed.
func lost() answer {
	return failure(http.StatusBadRequest, "type_id, which is part of the address of the service, is missing.")
}

// page cuts a page out of a list of n things, and links to the next one.
func (c *call) page(n int) (from, to int, links http.Header) {
	size := c.p.page(c.query.Get("limit"))
	number, err := strconv.Atoi(c.query.Get("page"))
	if err != nil || number < 1 {
		number = 1
	}
	from = min((number-1)*size, n)
	to = min(from+size, n)
	address := func(number int) string {
		q := url.Values{}
		for name, values := range c.query {
			q[name] = values
		}
		q.Set("page", itoa(number))
		return c.p.back() + c.r.URL.EscapedPath() + "?" + q.Encode()
	}
	links = http.Header{}
	switch {
	case c.p.Canvas:
		// All in one header.
		all := []string{"<" + address(number) + `>; rel="current"`}
		if to < n {
			all = append(all, "<"+address(number+1)+`>; rel="next"`)
		}
		all = append(all, "<"+address(1)+`>; rel="first"`, "<"+address(max(1, (n+size-1)/size))+`>; rel="last"`)
		links.Set("Link", strings.Join(all, ","))
	case to < n:
		// RFC 8288 allows a header each, and rel without quotes.
		links.Add("Link", "<"+address(1)+`>; title="first, of all"; rel=first`)
		links.Add("Link", "<"+address(number+1)+">; rel=next")
	}
	return from, to, links
}

// typed makes an answer of a media type of LTI.
func typed(status int, mediaType string, body any) answer {
	a := jsonAnswer(status, body)
	a.contentType = mediaType
	return a
}

func notAcceptable(want string) answer {
	return failure(http.StatusNotAcceptable, "The Accept header must have "+want+".")
}

func unsupported(want string) answer {
	return failure(http.StatusUnsupportedMediaType, "The Content-Type must be "+want+".")
}

// unknownNames returns the members that nobody knows. Extensions, which are
// addresses, are allowed.
func unknownNames(o map[string]any, known ...string) []string {
	var out []string
next:
	for name := range o {
		if strings.Contains(name, "://") {
			continue
		}
		for _, k := range known {
			if name == k {
				continue next
			}
		}
		out = append(out, name)
	}
	return out
}
