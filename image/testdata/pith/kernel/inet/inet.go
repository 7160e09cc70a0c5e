// Package inet stands for the lean network stack.
package inet

import "pith/kernel/linux"

func init() { linux.Stack = 1 }
