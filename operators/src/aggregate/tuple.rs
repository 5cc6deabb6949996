//! Several aggregates at once: a tuple of aggregates is an aggregate.

use super::Aggregate;

macro_rules! tuple_aggregate {
    ($($name:ident $index:tt),+) => {
        /// The aggregates of a tuple, each on its own; the result is the tuple of their results.
        impl<V, $($name: Aggregate<V>),+> Aggregate<V> for ($($name,)+) {
            type Partial = ($($name::Partial,)+);
            type Output = ($($name::Output,)+);

            fn shape(&self) -> String {
                [$(self.$index.shape()),+].join(", ")
            }

            #[inline]
            fn lift(&self, value: &V) -> Self::Partial {
                ($(self.$index.lift(value),)+)
            }

            #[inline]
            fn combine(&self, into: &mut Self::Partial, other: &Self::Partial) {
                $(self.$index.combine(&mut into.$index, &other.$index);)+
            }

            #[inline]
            fn lower(&self, partial: &Self::Partial) -> Self::Output {
                ($(self.$index.lower(&partial.$index),)+)
            }

            // Where a record is decoded and folded: a call there puts its values into memory.
            #[inline(always)]
            fn fold(&self, into: &mut Self::Partial, value: &V) {
                $(self.$index.fold(&mut into.$index, value);)+
            }
        }
    };
}

tuple_aggregate!(A 0);
tuple_aggregate!(A 0, B 1);
tuple_aggregate!(A 0, B 1, C 2);
tuple_aggregate!(A 0, B 1, C 2, D 3);
tuple_aggregate!(A 0, B 1, C 2, D 3, E 4);
tuple_aggregate!(A 0, B 1, C 2, D 3, E 4, F 5);
tuple_aggregate!(A 0, B 1, C 2, D 3, E 4, F 5, G 6);
tuple_aggregate!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);
