package virtio

import (
	"errors"
	"strconv"
	"time"
)

// ErrLegacy is returned for a device that only speaks the interface from before
// virtio 1.0.
var ErrLegacy = errors.New("device offers only the legacy virtio interface; it must be a virtio 1.0 or later device")

// errReset: the status did not go back to zero (section 2.4).
var errReset = errors.New("device does not finish its reset")

// resetTries bounds the wait for a reset; between tries passes a millisecond.
const resetTries = 1000

// Negotiate takes a device through the first half of initialisation (section
// 3.1.1, steps 1 to 6): reset, acknowledge, and agree on those of the wanted
// features that the device offers. VERSION_1 is always wanted, and required.
// It returns what was agreed.
func Negotiate(t Transport, wanted uint64) (uint64, error) {
	if err := reset(t); err != nil {
		return 0, err
	}
	t.SetStatus(StatusAcknowledge)
	t.SetStatus(StatusAcknowledge | StatusDriver)
	offered := t.Features()
	if offered&FeatureVersion1 == 0 {
		Fail(t)
		return 0, ErrLegacy
	}
	agreed := offered & (wanted | FeatureVersion1)
	t.SetFeatures(agreed)
	t.SetStatus(StatusAcknowledge | StatusDriver | StatusFeaturesOK)
	if t.Status()&StatusFeaturesOK == 0 {
		Fail(t)
		return 0, errors.New("device refuses the features 0x" + strconv.FormatUint(agreed, 16))
	}
	return agreed, nil
}

// reset writes status 0 and waits until the device has done it.
func reset(t Transport) error {
	t.SetStatus(0)
	for range resetTries {
		if t.Status() == 0 {
			return nil
		}
		time.Sleep(time.Millisecond)
	}
	return errReset
}

// Ready ends initialisation (section 3.1.1, step 8): from here on the device
// uses its queues.
func Ready(t Transport) { t.SetStatus(t.Status() | StatusDriverOK) }

// Fail tells the device that its driver has given up.
func Fail(t Transport) { t.SetStatus(t.Status() | StatusFailed) }

// configTries bounds the retries of ReadConfig.
const configTries = 100

// ReadConfig calls read, which reads fields of the configuration space, until
// no change of the space happened meanwhile (section 2.5.1). A device that
// changes it all the time gets no more than a hundred calls.
func ReadConfig(t Transport, read func(Registers)) {
	config := t.Config()
	for range configTries {
		before := t.ConfigGeneration()
		read(config)
		if t.ConfigGeneration() == before {
			return
		}
	}
}
