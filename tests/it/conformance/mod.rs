//! One suite for every store: what goes up comes down the same, and what is asked for is what comes.

mod cases;
mod markers;

/// The same functions on one kind of store, each a test of its own.
macro_rules! suite {
    ($module:ident, $kind:ident: $($case:ident),* $(,)?) => {
        mod $module {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    let name = concat!(stringify!($module), "-", stringify!($case));
                    let bench = crate::bench::Bench::new(crate::bench::Kind::$kind, name).await;
                    super::cases::$case(&bench).await;
                }
            )*
            /// No case is left out by mistake.
            pub const CASES: &[&str] = &[$(stringify!($case)),*];
        }
    };
}

suite!(folder, Folder:
    a_tree_goes_up_and_comes_down_the_same, a_folder_is_not_its_neighbour, a_lookup_finds_either_and_the_object_first,
    what_is_absent_is_named, the_whole_of_an_empty_store_is_fine, every_pair_lands_where_it_is_meant_to,
    what_stands_in_the_target_is_replaced, every_character_of_a_key_is_literal, many_objects_come_in_many_pages,
    a_delete_of_what_is_there_and_of_what_is_not_succeeds, an_upload_overwrites,
    an_upload_that_was_broken_off_is_continued, an_upload_replaces_what_it_expects_and_nothing_else,
);
suite!(s3s, S3s:
    a_tree_goes_up_and_comes_down_the_same, a_folder_is_not_its_neighbour, a_lookup_finds_either_and_the_object_first,
    what_is_absent_is_named, the_whole_of_an_empty_store_is_fine, every_pair_lands_where_it_is_meant_to,
    what_stands_in_the_target_is_replaced, every_character_of_a_key_is_literal, many_objects_come_in_many_pages,
    a_delete_of_what_is_there_and_of_what_is_not_succeeds, an_upload_overwrites,
    an_upload_that_was_broken_off_is_continued, an_upload_replaces_what_it_expects_and_nothing_else,
);
suite!(moto, Moto:
    a_tree_goes_up_and_comes_down_the_same, a_folder_is_not_its_neighbour, a_lookup_finds_either_and_the_object_first,
    what_is_absent_is_named, the_whole_of_an_empty_store_is_fine, every_pair_lands_where_it_is_meant_to,
    what_stands_in_the_target_is_replaced, every_character_of_a_key_is_literal, many_objects_come_in_many_pages,
    a_delete_of_what_is_there_and_of_what_is_not_succeeds, an_upload_overwrites,
    an_upload_that_was_broken_off_is_continued, an_upload_replaces_what_it_expects_and_nothing_else,
);
suite!(azurite, Azurite:
    a_tree_goes_up_and_comes_down_the_same, a_folder_is_not_its_neighbour, a_lookup_finds_either_and_the_object_first,
    what_is_absent_is_named, the_whole_of_an_empty_store_is_fine, every_pair_lands_where_it_is_meant_to,
    what_stands_in_the_target_is_replaced, every_character_of_a_key_is_literal, many_objects_come_in_many_pages,
    a_delete_of_what_is_there_and_of_what_is_not_succeeds, an_upload_overwrites,
    an_upload_that_was_broken_off_is_continued, an_upload_replaces_what_it_expects_and_nothing_else,
);
suite!(gcs, Gcs:
    a_tree_goes_up_and_comes_down_the_same, a_folder_is_not_its_neighbour, a_lookup_finds_either_and_the_object_first,
    what_is_absent_is_named, the_whole_of_an_empty_store_is_fine, every_pair_lands_where_it_is_meant_to,
    what_stands_in_the_target_is_replaced, every_character_of_a_key_is_literal, many_objects_come_in_many_pages,
    a_delete_of_what_is_there_and_of_what_is_not_succeeds, an_upload_overwrites,
    an_upload_that_was_broken_off_is_continued, an_upload_replaces_what_it_expects_and_nothing_else,
);

/// The server named by `PLX_TEST_S3_ENDPOINT`, such as a MinIO; without one there is nothing to test.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_named_by_the_environment_behaves_the_same() {
    if plx_testkit::S3Target::from_env().is_none() {
        eprintln!("PLX_TEST_S3_ENDPOINT is not set: no external server is tested");
        return;
    }
    macro_rules! each {
        ($($case:ident),*) => {$(
            cases::$case(&crate::bench::Bench::new(crate::bench::Kind::External, stringify!($case)).await).await;
        )*};
    }
    each!(
        a_tree_goes_up_and_comes_down_the_same,
        a_folder_is_not_its_neighbour,
        a_lookup_finds_either_and_the_object_first,
        what_is_absent_is_named,
        the_whole_of_an_empty_store_is_fine,
        every_pair_lands_where_it_is_meant_to,
        what_stands_in_the_target_is_replaced,
        every_character_of_a_key_is_literal,
        many_objects_come_in_many_pages,
        a_delete_of_what_is_there_and_of_what_is_not_succeeds,
        an_upload_overwrites,
        an_upload_that_was_broken_off_is_continued,
        an_upload_replaces_what_it_expects_and_nothing_else
    );
}

#[test]
fn every_store_is_asked_the_same() {
    for cases in [s3s::CASES, moto::CASES, azurite::CASES, gcs::CASES] {
        assert_eq!(folder::CASES, cases);
    }
}
