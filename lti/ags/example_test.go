package ags_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"go.acu.edu.au/runbook/lti"
	"go.acu.edu.au/runbook/lti/ags"
)

// A launch offers the grade service; the tool finds or makes its line item, and
// sends a score.
func Example() {
	service, err := newService(&platform{Answer: gradebook}) // a real program makes one with lti.NewService
	if err != nil {
		fmt.Println(err)
		return
	}
	launch := lti.Launch{Subject: "535fa085", AGS: &lti.GradeService{
		Scopes:    []string{ags.ScopeLineItem, ags.ScopeScore},
		LineItems: "https://school.instructure.com/api/lti/courses/1/line_items",
	}}
	grades, err := ags.New(ags.Config{Service: service, Scopes: launch.AGS.Scopes, LineItems: launch.AGS.LineItems, LineItem: launch.AGS.LineItem})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	item := ags.LineItem{Label: "Chapter 5 Test", ScoreMaximum: 60, ResourceID: "quiz-231", Tag: "grade"}
	for found, err := range grades.LineItems(ctx, &ags.LineItemsOptions{ResourceID: item.ResourceID, Tag: item.Tag}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		item = found
		break
	}
	if item.ID == "" {
		if item, err = grades.CreateLineItem(ctx, item); err != nil {
			fmt.Println(err)
			return
		}
	}
	score := ags.Score{
		UserID: launch.Subject, Given: ags.Points(51), Maximum: 60,
		ActivityProgress: ags.Completed, GradingProgress: ags.FullyGraded,
	}
	fmt.Println(item.ID, grades.PostScore(ctx, item.ID, score))

	for _, err := range grades.Results(ctx, item.ID, nil) {
		fmt.Println(errors.Is(err, lti.ErrScope)) // the launch did not offer it
	}
	// Output:
	// https://school.instructure.com/api/lti/courses/1/line_items/7 <nil>
	// true
}

func gradebook(r *http.Request, _ string) (status int, link, text string) {
	if r.Method == http.MethodGet {
		return http.StatusOK, "", "[]"
	}
	return http.StatusCreated, "", chapter5
}
