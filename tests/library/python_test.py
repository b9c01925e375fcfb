"""Checks the Python module: `python_test.py MODEL_FOLDER PICTURE DOCUMENT`, with the module on PYTHONPATH. The document's
Python is run too."""

import os
import pathlib
import re
import shutil
import sys
import tempfile
import unittest

import capdiff

FOLDER, PICTURE, DOCUMENT = map(os.path.abspath, sys.argv[1:4])


class Module(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.model = capdiff.Model(FOLDER, threads=1, deterministic=True)
        with open(PICTURE, "rb") as file:
            cls.file = file.read()

    def test_captions_bytes(self):
        result = self.model.caption(self.file, preset="fast", candidates=2)
        self.assertEqual(result["caption"], result["candidates"][0]["text"])
        self.assertEqual(len(result["candidates"]), 2)

    def test_captions_arrays_and_lists(self):
        try:
            import numpy
        except ImportError:
            self.skipTest("numpy is not installed")
        pixels = numpy.full((30, 40, 3), 128, dtype=numpy.uint8)
        together = self.model.caption([self.file, pixels], steps=2)
        self.assertEqual(together[1]["caption"], self.model.caption(pixels, steps=2)["caption"])
        with self.assertRaisesRegex(ValueError, "contiguous"):
            self.model.caption(pixels[:, ::2], steps=2)
        with self.assertRaisesRegex(ValueError, "shape"):
            self.model.caption(numpy.ascontiguousarray(pixels[:, :, :1]), steps=2)
        with self.assertRaises(TypeError):
            self.model.caption(pixels.astype(numpy.float32), steps=2)

    def test_fills(self):
        self.assertRegex(self.model.fill(self.file, "a [MASK] on grass", steps=2)["caption"], r"^a \S+ on grass$")

    def test_document(self):
        with open(DOCUMENT, encoding="utf-8") as file:
            (example,) = re.findall(r"^```python\n(.*?)^```", file.read(), re.DOTALL | re.MULTILINE)
        os.environ["CAPDIFF_MODEL"] = FOLDER
        before = os.getcwd()
        with tempfile.TemporaryDirectory() as folder:
            shutil.copyfile(PICTURE, os.path.join(folder, "photo.jpg"))
            os.chdir(folder)
            names = {"array": self.file, "another": self.file}
            exec(example, names)
            os.chdir(before)
        self.assertEqual(len(names["captions"]), 2)

    def test_says_what_is_wrong(self):
        with self.assertRaisesRegex(capdiff.Error, "picture 0"):
            self.model.caption(b"nothing")
        with self.assertRaisesRegex(capdiff.Error, "stepps"):
            self.model.caption(self.file, stepps=3)
        with self.assertRaises(capdiff.Error) as raised:
            capdiff.Model(pathlib.Path("/no/such/model"))
        self.assertEqual(raised.exception.status, 2)
        for call in (
            lambda: self.model.caption("photo.jpg"),
            lambda: self.model.caption([self.file, 3]),
            lambda: self.model.fill(self.file, sentence=self.file),
        ):
            with self.assertRaises(TypeError) as raised:
                call()
            self.assertLess(len(str(raised.exception)), 100)
        with self.assertRaises(ValueError):
            self.model.caption(picture=self.file, guidance=float("nan"))

    def test_refuses_to_hang_after_a_fork(self):
        model = capdiff.Model(FOLDER, threads=2)
        model.caption(self.file, steps=2)
        child = os.fork()
        if child == 0:
            status = 0
            try:
                model.caption(self.file, steps=2)
            except capdiff.Error as error:
                status = error.status
            os._exit(status)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 5)


unittest.main(argv=sys.argv[:1])
