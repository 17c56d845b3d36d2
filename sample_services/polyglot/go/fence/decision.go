package fence

import "bytes"

// What a call means, given what its step has done already: the table that every promise rests on.
//
//	call        row                               deed
//	Try         none                              run
//	Try         TRIED or REJECTED, same input     repeat
//	Try         TRIED or REJECTED, other input    refuseReuse
//	Try         COMPENSATED or TOMBSTONE          refuseLate
//	Compensate  none                              bury; with a result of the Try: refuseLost
//	Compensate  TRIED                             undo; another action than was tried: refuseReuse
//	Compensate  REJECTED, COMPENSATED, TOMBSTONE  confirm
//
// A Compensate that brings a result without a row to it says that the Try took effect here, and that the fence
// has forgotten: an older copy of the database was restored. Nobody may then take the effect for gone.

type state string

const (
	none        state = ""
	tried       state = "TRIED"
	rejected    state = "REJECTED"
	compensated state = "COMPENSATED"
	tombstone   state = "TOMBSTONE"
)

type deed int

const (
	_           deed = iota
	run              // do it, and remember the answer
	repeat           // give the answer that was given
	refuseReuse      // fail: the key was used for something else
	refuseLate       // reject: the step is compensated
	bury             // remember that the Compensate came first
	undo             // undo it, and remember that
	refuseLost       // refuse: there was an effect, and the fence has forgotten it
	confirm          // there is no effect, or none any more
)

var onTry = map[state]deed{
	none:        run,
	tried:       repeat,
	rejected:    repeat,
	compensated: refuseLate,
	tombstone:   refuseLate,
}

var onCompensate = map[state]deed{
	none:        bury,
	tried:       undo,
	rejected:    confirm,
	compensated: confirm,
	tombstone:   confirm,
}

// row is what the fence knows of one step of one saga; the zero value where it knows nothing.
type row struct {
	state  state
	action string
	hash   []byte
	answer []byte
}

// decideTry says what to do about a Try. The same input means the same action too: a key names one deed for ever.
func decideTry(found row, action string, hash []byte) deed {
	deed := onTry[found.state]
	if deed == repeat && (found.action != action || !bytes.Equal(found.hash, hash)) {
		return refuseReuse
	}
	return deed
}

// decideCompensate says what to do about a Compensate. Its input is not compared: the Try has settled that.
func decideCompensate(found row, action string, hasResult bool) deed {
	switch deed := onCompensate[found.state]; {
	case deed == bury && hasResult:
		return refuseLost
	case deed == undo && found.action != action:
		return refuseReuse
	default:
		return deed
	}
}
