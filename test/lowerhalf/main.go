// Command lowerhalf links the kernel's lower half, for the test that reads its
// code.
package main

import _ "pith/kernel/boot"

func main() {}
