"""`--group-column`: its values are read as text; test tables may lack it."""

import pytest
from test_read_memes import TEST, TRAIN, write_files

from extract.config import ExtractConfig
from extract.tables.read_memes import read_memes, read_unlabelled
from extract.tables.table_options import TableOptions, table_options
from runtime.errors import UserError

WITH_LANGUAGE = 'id,img,text,label,language\n1,img/a.png,one,0, en \n2,img/b.png,two,1,"zh\n TW"\n'


def slices(folder):
    options = table_options(ExtractConfig(group_column="language"))
    return read_memes(folder, options)[0].rows["slice"].tolist()


def test_values_are_text_in_one_line_and_empty_for_tables_without_the_column(tmp_path):
    write_files(tmp_path, train_csv=WITH_LANGUAGE, test_csv=TEST)
    assert slices(tmp_path) == ["en", "zh TW", "", ""]


def test_absent_and_unreadable_values_are_empty(tmp_path):
    train = b"id,img,text,label,language\n1,img/a.png,one,0,nan\n2,img/b.png,two,1,"
    write_files(tmp_path, train_csv=train + b"\xe9\n", test_csv=TEST)
    assert slices(tmp_path)[:2] == ["", ""]


def test_column_that_train_lacks_is_named_with_those_found(tmp_path):
    train = (
        TRAIN.replace("label", "label,langage").replace(",0", ",0,en").replace(",1\n", ",1,hi\n")
    )
    write_files(tmp_path, train_csv=train, test_csv=TEST)
    with pytest.raises(UserError, match=r'--group-column "language" .*Did you mean "langage"'):
        slices(tmp_path)


def test_without_the_flag_and_for_new_memes_there_are_no_slices(tmp_path):
    write_files(tmp_path, train_csv=WITH_LANGUAGE, test_csv=TEST)
    assert "slice" not in read_memes(tmp_path)[0].rows
    assert "slice" not in read_unlabelled(tmp_path, TableOptions())[0].rows
