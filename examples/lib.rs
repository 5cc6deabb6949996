//! Holds no code: this package's examples are programs. `README.md` beside this file lists them.
