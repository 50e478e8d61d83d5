package canvas

import (
	"context"
	"net/url"
	"sync"

	"go.acu.edu.au/runbook/internal/httpx"
)

// prefetch reads numbered pages ahead of the loop, as many at the same time as
// allowed, and hands them out in order.
type prefetch struct {
	ctx     context.Context
	wg      sync.WaitGroup
	queue   []chan fetched // of the pages that were asked for, in order
	asked   int            // number of the last page that was asked for
	last    int            // number of the last page
	pattern *url.URL
}

type fetched struct {
	resp *httpx.Response
	err  error
}

// startAhead begins to read ahead, if the next page and the last one are
// numbered and are the same address but for that. Otherwise pages are read one
// after the other.
func (p *pager) startAhead(ctx context.Context, next *url.URL, lastText string) {
	last, err := next.Parse(lastText)
	if err != nil || lastText == "" || p.c.ours(last) != nil {
		return
	}
	second, ok := pageNumber(next)
	end, ok2 := pageNumber(last)
	if !ok || !ok2 || end <= second || atPage(last, second).RequestURI() != atPage(next, second).RequestURI() {
		return
	}
	p.ahead = &prefetch{ctx: ctx, asked: second - 1, last: end, pattern: next}
}

// nextAhead returns the page whose turn it is, having asked for more.
func (p *pager) nextAhead() (*httpx.Response, error) {
	a := p.ahead
	for len(a.queue) < p.opts.Parallel && a.asked < a.last && p.pages < p.opts.MaxPages {
		a.asked++
		p.pages++
		u := atPage(a.pattern, a.asked)
		p.isNew(u)
		p.ask(u)
	}
	if len(a.queue) == 0 {
		if p.url == nil {
			return nil, nil
		}
		p.ahead = nil // the list has grown meanwhile, or has too many pages
		return p.next(a.ctx)
	}
	got := <-a.queue[0]
	a.queue = a.queue[1:]
	if got.err != nil {
		return nil, got.err
	}
	links := pageLinks(got.resp)
	next, err := p.follow(got.resp.URL, links)
	if err != nil {
		return nil, p.fail(got.resp, err)
	}
	p.url = next
	if next == nil {
		// This is the last page now: the list has become shorter. What was read
		// beyond is past the end.
		a.asked, a.queue = a.last, nil
	}
	return got.resp, nil
}

func (p *pager) ask(u *url.URL) {
	a := p.ahead
	done := make(chan fetched, 1) // so that nobody has to take it
	a.queue = append(a.queue, done)
	r := p.r
	a.wg.Go(func() {
		resp, err := p.c.send(a.ctx, &r, u)
		done <- fetched{resp, err}
	})
}

// wait returns when no page is being read any more.
func (p *pager) wait() {
	if p.ahead != nil {
		p.ahead.wg.Wait()
	}
}
