package sms

import (
	"errors"
	"regexp"
	"slices"
	"strings"
)

var e164 = regexp.MustCompile(`^\+[1-9][0-9]{7,14}$`)

// fictitious are numbers that belong to nobody, and are there for films and samples: those
// with 555 in North America, and in Australia those that begin with 5550 or 7010 in each
// region, and 1800 160 401.
var fictitious = regexp.MustCompile(`^(\+1[0-9]{3}555[0-9]{4}|\+1555[0-9]{7}|\+61[2378](5550|7010)[0-9]{4}|\+611800160401)$`)

// mobiles are the 30 Australian mobile numbers, after 0491 57, that the communications
// authority sets aside for the same: https://www.acma.gov.au/phone-numbers-use-tv-shows-films-and-creative-works.
const mobiles = "0006 0110 0156 0157 0158 0159 0313 0737 1266 1491 1804 2549 2665 2983 3087 3770 4118 4632 5254 5789 6398 6801 7426 7644 8148 8888 8957 9212 9455 9760"

// lengths are the numbers of digits after the code of a country.
var lengths = [...]struct {
	code   string
	digits int
}{{"+61", 9}, {"+1", 10}}

// CheckNumber says what is wrong with the number of a phone: it must be one of form
// E.164, such as +61412000999, and not a placeholder. The error does not repeat it.
func CheckNumber(number string) error {
	if !e164.MatchString(number) {
		return errors.New("must be a phone number with + and the code of the country, in digits only, and no placeholder")
	}
	mobile, ok := strings.CutPrefix(number, "+6149157")
	if ok && slices.Contains(strings.Fields(mobiles), mobile) || fictitious.MatchString(number) || sample(number[1:]) {
		return errors.New("is a placeholder that belongs to nobody")
	}
	for _, l := range lengths {
		if strings.HasPrefix(number, l.code) && len(number) != len(l.code)+l.digits {
			return errors.New("has not as many digits as numbers of its country have")
		}
	}
	return nil
}

// sample reports whether digits repeat or count up as only those of placeholders do.
func sample(digits string) bool {
	same, up := 1, 1
	for i := 1; i < len(digits); i++ {
		same, up = same+1, up+1
		if digits[i] != digits[i-1] {
			same = 1
		}
		if digits[i] != digits[i-1]+1 {
			up = 1
		}
		if same == 7 || up == 7 {
			return true
		}
	}
	return false
}
