//! Holds no code: the lessons are programs. `README.md` beside this file lists them.
